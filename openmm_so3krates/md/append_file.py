"""A file that only grows, whole pieces at a time, and can be cut back to an earlier size."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from openmm_so3krates.md.errors import OutputError, WriteError


class AppendFile:
    """An output file without a buffer of its own: what `append` returned from is in the operating system's hands,
    and a piece that could not be written in full (disk full) is taken back, so the file always ends with a whole one.

    `size`: keep that many bytes of the existing file and cut the rest off; None: begin an empty file.
    Raises `OutputError` naming the file and the reason.
    """

    _handle = -1

    def __init__(self, path: Path, size: int | None = None):
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if size is None else 0), 0o666)
        except OSError as error:
            raise cannot_write(path, error) from None
        try:
            self.size = cut_back(path, size or 0)
        except BaseException:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        try:
            self._write(data, self.size)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, self.size)
            raise cannot_write(self.path, error) from None
        self.size += len(data)

    def overwrite(self, data: bytes, offset: int) -> None:
        """Replaces bytes that are in the file already."""
        try:
            self._write(data, offset)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def sync(self) -> None:
        """Waits until everything is on the disk."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._handle, view, offset)
            view, offset = view[written:], offset + written


def cut_back(path: Path, size: int) -> int:
    """Truncates a file to `size` bytes and returns `size`. Raises `OutputError` if it is shorter than that."""
    try:
        actual = path.stat().st_size
        if actual < size:
            raise OutputError(
                f"{path} is shorter ({actual} bytes) than when its checkpoint was written ({size} bytes): it was "
                "changed or is damaged. Start again with --overwrite"
            )
        if actual > size:
            os.truncate(path, size)
    except OSError as error:
        raise cannot_write(path, error) from None
    return size


def cannot_write(path: Path, error: OSError) -> WriteError:
    """The message for a failed write, the same for every output file."""
    return WriteError(f"cannot write {path}: {os.strerror(error.errno or 0)}")
