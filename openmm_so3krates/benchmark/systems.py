"""The systems that are timed: the same atoms at the same places on every machine.

Å throughout. Molecules in vacuum up to 148 atoms, then water at 0.997 g/cm³ and a peptide in water.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .capped_alanine import build as build_capped_alanine

_SEED = 20240806
_WATER_DENSITY = 0.997  # g/cm³
_SPACING = (18.01528 / 0.602214076 / _WATER_DENSITY) ** (1 / 3)  # Å between molecules on a cubic lattice
_BOND, _ANGLE = 0.9572, 104.52  # Å, degrees: the gas phase
_CLOSEST = 1.6  # Å between atoms of different molecules of water
_NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8}


@dataclass(frozen=True)
class BenchmarkSystem:
    """`positions` (N, 3) in Å; `cell` (3, 3) in Å, rows are box vectors, or None in vacuum."""

    name: str
    atomic_numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray | None


@dataclass(frozen=True)
class Rung:
    """A system of the ladder that has not been built yet; `build()` takes up to a second per ten thousand atoms."""

    name: str
    atoms: int
    build: Callable[[], BenchmarkSystem]


def peptide(residues: int) -> BenchmarkSystem:
    """Ac-Ala_n-NHMe in vacuum, extended."""
    atoms = build_capped_alanine(residues)
    return BenchmarkSystem(
        f"Ac-Ala{residues}-NHMe",
        np.array([_NUMBERS[atom.element] for atom in atoms]),
        np.array([atom.position for atom in atoms]),
        None,
    )


def _buckyball_catcher() -> BenchmarkSystem:
    lines = (Path(__file__).parent / "buckyball_catcher.xyz").read_text().splitlines()[2:]
    fields = [line.split() for line in lines]
    numbers = np.array([_NUMBERS[field[0]] for field in fields])
    return BenchmarkSystem("buckyball catcher", numbers, np.array([field[1:] for field in fields], float), None)


def _water_positions(edge: int) -> np.ndarray:
    """(edge³, 3, 3) Å: molecules O, H, H on a cubic lattice, turned at random but clear of those placed before."""
    rng = np.random.default_rng(_SEED)
    half = np.radians(_ANGLE / 2)
    hydrogen = _BOND * np.array([np.sin(half), np.cos(half), 0.0])
    molecule = np.array([[0.0, 0.0, 0.0], hydrogen, hydrogen * [-1, 1, 1]])
    box = edge * _SPACING
    placed = np.full((edge, edge, edge, 3, 3), np.nan)
    steps = np.array([step for step in np.ndindex(3, 3, 3) if step != (1, 1, 1)]) - 1
    for site in np.ndindex(edge, edge, edge):
        around = placed[tuple(((np.array(site) + steps) % edge).T)].reshape(-1, 3)
        best, widest = None, -1.0
        for _ in range(200):
            rotation, upper = np.linalg.qr(rng.normal(size=(3, 3)))  # with the signs of R's diagonal: uniform
            atoms = _SPACING * (np.array(site) + 0.5) + molecule @ (rotation * np.sign(np.diag(upper))).T
            vectors = atoms[:, None] - around
            distances = np.linalg.norm(vectors - box * np.round(vectors / box), axis=-1)
            gap = np.nanmin(distances, initial=np.inf)  # molecules not placed yet are nan
            if gap > widest:
                best, widest = atoms, gap
            if gap >= _CLOSEST:
                break
        placed[site] = best
    return placed.reshape(-1, 3, 3)


def water(edge: int) -> BenchmarkSystem:
    """A box of edge³ molecules."""
    positions = _water_positions(edge).reshape(-1, 3)
    return BenchmarkSystem("water", np.tile([8, 1, 1], edge**3), positions, edge * _SPACING * np.eye(3))


def _repeated_water(edge: int, times: int) -> BenchmarkSystem:
    """A box of water `times` times along each of its edges: quickly made."""
    block = water(edge)
    shifts = np.array(list(np.ndindex(times, times, times))) @ block.cell
    return BenchmarkSystem(
        "water",
        np.tile(block.atomic_numbers, len(shifts)),
        (shifts[:, None] + block.positions).reshape(-1, 3),
        times * block.cell,
    )


def _solvated_peptide(residues: int, edge: int) -> BenchmarkSystem:
    """A peptide in the middle of a box of water, without the molecules closer than 2 Å to it."""
    solute = peptide(residues)
    cell = edge * _SPACING * np.eye(3)
    centered = solute.positions - solute.positions.mean(axis=0)
    axes = np.linalg.svd(centered)[2]
    placed = centered @ axes.T * [1, 1, np.sign(np.linalg.det(axes))] + cell.diagonal() / 2  # its longest axis along x
    waters = _water_positions(edge)
    gaps = np.linalg.norm(waters[:, :, None] - placed, axis=-1).min(axis=(1, 2))
    waters = waters[gaps > 2.0]
    return BenchmarkSystem(
        f"Ac-Ala{residues}-NHMe in water",
        np.concatenate([solute.atomic_numbers, np.tile([8, 1, 1], len(waters))]),
        np.concatenate([placed, waters.reshape(-1, 3)]),
        cell,
    )


LADDER = (
    Rung("Ac-Ala1-NHMe", 22, partial(peptide, 1)),
    Rung("Ac-Ala3-NHMe", 42, partial(peptide, 3)),
    Rung("Ac-Ala10-NHMe", 112, partial(peptide, 10)),
    Rung("buckyball catcher", 148, _buckyball_catcher),
    Rung("water", 192, partial(water, 4)),
    Rung("water", 648, partial(water, 6)),
    Rung("Ac-Ala3-NHMe in water", 1500, partial(_solvated_peptide, 3, 8)),
    Rung("water", 1536, partial(water, 8)),
    Rung("water", 5184, partial(water, 12)),
    Rung("water", 12288, partial(water, 16)),
    Rung("water", 24000, partial(water, 20)),
    Rung("water", 41472, partial(water, 24)),
    Rung("water", 98304, partial(water, 32)),
    Rung("water", 331776, partial(_repeated_water, 16, 3)),
    Rung("water", 1029000, partial(_repeated_water, 14, 5)),
)
