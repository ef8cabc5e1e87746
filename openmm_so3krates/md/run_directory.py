"""The folder of a run: who may write into it and which files are in it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from pathlib import Path

from openmm_so3krates.atomic_file import write_atomically
from openmm_so3krates.md.append_file import cannot_write
from openmm_so3krates.md.errors import OutputError, SettingsError

FORMAT_VERSION = 1


class RunDirectory:
    """Paths in the folder of a run, which is locked against a second process for the lifetime of the object.

    `mode`: "new" refuses a folder that holds a run, "overwrite" deletes that run's files, "resume" needs one.
    Raises `SettingsError` or `OutputError`.
    """

    _FILES = ("run.json", "checkpoint.npz", "minimized.pdb", "initial.pdb", "log.csv", "equilibration.csv",
              "trajectory.dcd", "trajectory.xtc", "predictions.csv", "charges.npy", "final.pdb", "summary.json",
              "plots.png")  # fmt: skip

    def __init__(self, folder: Path, mode: str):
        self.folder = folder
        self._lock = -1
        holds_run = (folder / "run.json").exists()
        if mode == "resume" and not holds_run:
            raise SettingsError(f"there is no run to resume in {folder} (no run.json); leave --resume out to start one")
        if mode == "new" and (holds_run or any((folder / name).exists() for name in self._FILES)):
            raise SettingsError(
                f"{folder} already holds a run; continue it with --resume, replace it with --overwrite, "
                "or name another folder"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise SettingsError(f"--output {folder} is a file, not a folder") from None
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {os.strerror(error.errno or 0)}") from None
        self._take_lock()
        if mode == "overwrite":
            self._delete_run()
        for leftover in folder.glob(".*.part"):  # of a write_atomically that was killed
            if any(leftover.name.startswith(f".{name}.") for name in self._FILES):
                leftover.unlink(missing_ok=True)

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # -- files ---------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.npz"

    @property
    def log(self) -> Path:
        return self.folder / "log.csv"

    @property
    def equilibration_log(self) -> Path:
        return self.folder / "equilibration.csv"

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions.csv"

    @property
    def charges(self) -> Path:
        return self.folder / "charges.npy"

    @property
    def final_structure(self) -> Path:
        return self.folder / "final.pdb"

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    @property
    def plots(self) -> Path:
        return self.folder / "plots.png"

    def present(self) -> list[str]:
        """Names of the run's files that exist."""
        return [name for name in self._FILES if (self.folder / name).exists()]

    def trajectory(self, format_: str) -> Path:
        return self.folder / f"trajectory.{format_}"

    def reference_structure(self, minimized: bool) -> Path:
        """The structure that the dynamics starts from and RMSDs refer to."""
        return self.folder / ("minimized.pdb" if minimized else "initial.pdb")

    # -- run.json ------------------------------------------------------------------------------

    def write_record(self, record: dict) -> None:
        """Stores what the run is (`run.json`). Raises `OutputError`."""
        self.write_json(self.folder / "run.json", {**record, "format_version": FORMAT_VERSION})

    def read_record(self) -> dict:
        """What `write_record` stored. Raises `OutputError`."""
        path = self.folder / "run.json"
        try:
            record = json.loads(path.read_text())
            if record["format_version"] != FORMAT_VERSION:
                raise OutputError(f"{path} was written by another version of openmm-so3krates")
            return record
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise OutputError(f"{path} cannot be read ({error}); start again with --overwrite") from None

    def store_input(self, source: Path) -> dict:
        """Copies the input structure, so that resuming does not depend on the original; what `run.json` says of it."""
        try:
            data = source.read_bytes()
        except OSError as error:
            raise SettingsError(f"cannot read {source}: {error.strerror}") from None
        name = f"input{source.suffix.lower()}"
        self.write(self.folder / name, data)
        return {"name": source.name, "copy": name, "sha256": hashlib.sha256(data).hexdigest()}

    def stored_input(self, record: dict) -> Path:
        """The copy of the input structure. Raises `OutputError` if it is not what it was."""
        path = self.folder / record["copy"]
        try:
            unchanged = hashlib.sha256(path.read_bytes()).hexdigest() == record["sha256"]
        except OSError as error:
            raise OutputError(f"cannot read {path}: {error.strerror}") from None
        if not unchanged:
            raise OutputError(f"{path} was changed since the run began; start again with --overwrite")
        return path

    # -- writing -------------------------------------------------------------------------------

    def write_json(self, path: Path, values: dict) -> None:
        """Writes `values` as JSON; as `write`."""
        self.write(path, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())

    def write(self, path: Path, data: bytes) -> None:
        """Writes a whole file or, raising `OutputError`, nothing."""
        try:
            write_atomically(path, [data])
        except OSError as error:
            raise cannot_write(path, error) from None

    def _take_lock(self) -> None:
        try:
            self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise SettingsError(f"another process is running in {self.folder}; wait for it or stop it") from None
            # Some network file systems know no locks; the run works without.

    def _delete_run(self) -> None:
        # run.json goes last: a half-deleted run is still known to be one.
        copies = [path.name for path in self.folder.glob("input.*")]
        for name in sorted([*self._FILES, *copies], key=lambda name: name == "run.json"):
            try:
                (self.folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(self.folder / name, error) from None
