"""examples/ensemble: replicas that run, differ, go on where they stopped, and are averaged; the Dask variant with a
client that runs tasks at once. Of the Slurm script only the syntax is tested."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples/ensemble"
sys.path.append(str(FOLDER))
import dask_ensemble  # noqa: E402
import replica as replicas  # noqa: E402

PEPTIDE = str(FOLDER.parent / "ac_ala3_nhme.pdb")


def test_temperatures():
    ladder = [replicas.temperature_of(k, 4, 300, 450) for k in range(4)]
    assert ladder[0] == 300 and ladder[-1] == pytest.approx(450)
    ratios = [b / a for a, b in itertools.pairwise(ladder)]
    assert ratios == pytest.approx([1.5 ** (1 / 3)] * 3)
    assert replicas.temperature_of(2, 4, 300, None) == 300


def test_replicas(tmp_path, so3lr):
    options = ["--time", "2fs", "--save-every", "1fs", "--no-minimize", "--threads", "1", "--model", str(so3lr)]
    command = [sys.executable, str(FOLDER / "replica.py"), PEPTIDE, "--output", str(tmp_path)]
    for k in (0, 1):
        subprocess.run([*command, "--replica", str(k), "--", *options], check=True, capture_output=True)
    summaries = [json.loads((tmp_path / f"replica_00{k}/summary.json").read_text()) for k in (0, 1)]
    assert [summary["settings"]["seed"] for summary in summaries] == [1000, 1001]
    potentials = [summary["results"]["potential_kJ_per_mol"]["mean"] for summary in summaries]
    assert potentials[0] != potentials[1]  # different velocities
    again = subprocess.run([*command, "--replica", "1"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr  # complete: nothing is lost or run twice
    mean, error, count = replicas.average(tmp_path)[300.0]
    assert (mean, count) == (pytest.approx(sum(potentials) / 2), 2)
    assert error == pytest.approx(abs(potentials[0] - potentials[1]) / 2)  # standard error of two numbers
    (tmp_path / "replica_001/summary.json").unlink()
    assert math.isnan(replicas.average(tmp_path)[300.0][1])


def test_dask_variant(tmp_path, so3lr):
    class Client:
        def submit(self, function, *arguments, pure):
            return function(*arguments)

        def gather(self, tasks):
            return tasks

    options = ("--time", "1fs", "--save-every", "1fs", "--no-minimize", "--threads", "1", "--model", str(so3lr))
    codes = dask_ensemble.run_all(Client(), PEPTIDE, str(tmp_path / "good"), [310.0], options)
    assert codes == [0] and list(replicas.average(tmp_path / "good")) == [310.0]
    assert dask_ensemble.run_all(Client(), "absent.pdb", str(tmp_path / "bad"), [310.0], options) == [2]


def test_shell_script_parses():
    subprocess.run(["bash", "-n", FOLDER / "slurm_array.sh"], check=True)
