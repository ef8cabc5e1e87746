"""Whether a total charge and a number of unpaired electrons fit the atoms."""

from __future__ import annotations

import numpy as np


def check_electrons(atomic_numbers, charge: float, spin: float) -> None:
    """Raises `ValueError` if atoms with total `charge` (e) cannot have `spin` unpaired electrons.

    The message ends without a mend, which depends on how the two were given. Fractional numbers are let pass.
    """
    electrons = float(np.sum(atomic_numbers)) - charge
    if not (electrons.is_integer() and float(spin).is_integer()):
        return
    if electrons < 0 or spin > electrons:
        raise ValueError(
            f"with charge {charge:g} there are {electrons:g} electrons, too few for {spin:g} unpaired ones"
        )
    if (electrons - spin) % 2:
        raise ValueError(
            f"with charge {charge:g} there are {electrons:g} electrons, of which not just {spin:g} can be unpaired"
        )
