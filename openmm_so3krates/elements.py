"""Chemical symbols, for talking to people; everything inside uses atomic numbers."""

from __future__ import annotations

from .hyperparameters import ModelError

_TEXT = (
    "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt "
    "Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc "
    "Lv Ts Og"
)
SYMBOLS = tuple(_TEXT.split())  # index = atomic number


def parse_elements(text: str) -> tuple[int, ...]:
    """Atomic numbers from "H,C,N,O" or "1,6,7,8", rising; raises `ModelError` for anything else."""
    numbers = set()
    for word in text.replace(",", " ").split():
        if word.capitalize() in SYMBOLS[1:]:
            numbers.add(SYMBOLS.index(word.capitalize()))
        elif word.isascii() and word.isdigit() and 1 <= int(word[:4]) <= 118:
            numbers.add(int(word[:4]))
        else:
            raise ModelError(f"{word!r} is not a chemical symbol or an atomic number from 1 to 118")
    if not numbers:
        raise ModelError("no elements are named")
    return tuple(sorted(numbers))
