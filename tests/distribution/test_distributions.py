"""What is given away: the source distribution and the wheel."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_GIVEN_AWAY = {".ci/run", ".gitignore"}


def test_source_distribution_is_the_repository(tmp_path):
    """Nothing is missing, and no weights, builds or environments slip in."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is not the repository but a source distribution")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    here = {name for name in names if (ROOT / name).is_file()}
    assert here >= NOT_GIVEN_AWAY

    build = f"from scikit_build_core.build import build_sdist; build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        given = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    assert given == here - NOT_GIVEN_AWAY | {"PKG-INFO"}


@pytest.mark.long
def test_wheel_works_in_an_empty_environment(so3lr, tmp_path):
    """The documented commands: a wheel that is manylinux_2_34, installed and run outside of the source tree."""
    environment = os.environ | {"DIST": str(tmp_path)}
    for script in ("build_wheel.sh", "check_wheel.sh"):
        result = subprocess.run([ROOT / "scripts" / script, sys.executable], env=environment, capture_output=True)
        assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()
    assert len(list(tmp_path.glob("*-manylinux_2_34_*.whl"))) == 1
    assert f"cp{sys.version_info[0]}{sys.version_info[1]}: the wheel works" in result.stdout.decode()
