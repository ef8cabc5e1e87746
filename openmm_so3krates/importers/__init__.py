"""Reads other programs' published models. No importer ever executes anything that a file asks for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..hyperparameters import ModelError
from .imported import ImportedModel


def import_model(
    source: str | os.PathLike,
    hyperparameters: str | os.PathLike | None = None,
    elements: Sequence[int] | None = None,
) -> ImportedModel:
    """Reads a published model of a known kind, told by its content.

    `source` is an mlff `params.pkl` (or a folder with one; needs `hyperparameters`, by default the
    hyperparameters.json beside it), or a so3krates-torch checkpoint. `elements`: atomic numbers the model was
    trained for, where the source does not tell.

    Raises `ModelError` if the kind is unknown or the file cannot be used.
    """
    source = Path(source)
    if source.is_dir():
        source = source / "params.pkl"
    try:
        with open(source, "rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ModelError(f"cannot read {source}: {os.strerror(error.errno or 0)}") from None
    if start[:4] == b"PK\x03\x04":
        from .so3krates_torch import import_so3krates_torch

        if hyperparameters is not None:
            raise ModelError("a so3krates-torch checkpoint brings its own settings: leave out --hyperparameters")
        return import_so3krates_torch(source, elements)
    if start[:1] == b"\x80":
        from .mlff import import_mlff

        return import_mlff(source, hyperparameters, elements)
    if start[8:9] == b"{":
        raise ModelError(f"{source} is a safetensors file; a model of openmm-so3krates needs no import")
    raise ModelError(
        f"{source} is neither an mlff params.pkl nor a so3krates-torch checkpoint (a zip file made by torch.save)"
    )


__all__ = ["ImportedModel", "import_model"]
