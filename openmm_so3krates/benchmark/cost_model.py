"""Fitted cost: t = a + b N, for each thing measured at three sizes or more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .measure import Row


@dataclass(frozen=True)
class Fit:
    """t = `fixed_ms` + `per_atom_us` N / 1000; `largest_deviation` is relative."""

    fixed_ms: float
    per_atom_us: float
    largest_deviation: float


def fit(atoms, times_ms) -> Fit:
    """Least squares of the relative deviations, neither coefficient negative; atoms (n,), times (n,) in ms, n ≥ 2."""
    from scipy.optimize import nnls

    atoms, times = np.asarray(atoms, float), np.asarray(times_ms, float)
    matrix = np.stack([np.ones_like(atoms), atoms], axis=1) / times[:, None]
    (fixed, slope), _ = nnls(matrix, np.ones_like(times))
    return Fit(float(fixed), float(1e3 * slope), float(np.abs(matrix @ [fixed, slope] - 1).max()))


def fits(rows: list[Row]) -> dict[tuple[str, str, int, str], Fit]:
    """(program, device, threads, method) -> Fit over all systems, of three or more sizes."""
    groups: dict[tuple[str, str, int, str], list[Row]] = {}
    for row in rows:
        if row.median_ms is not None:
            groups.setdefault((row.program, row.device, row.threads, row.method), []).append(row)
    return {
        key: fit([row.atoms for row in group], [row.median_ms for row in group])
        for key, group in groups.items()
        if len({row.atoms for row in group}) >= 3
    }
