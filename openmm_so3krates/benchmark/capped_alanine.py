"""Capped alanine peptides, Ac-Ala_n-NHMe, from internal geometry.

Every atom is placed by a bond length, a bond angle and a dihedral angle (the NeRF construction), so phi and psi
come out exactly as asked. Lengths and angles of the backbone are the usual averages over protein crystal
structures (Engh & Huber 1991); hydrogens stand at C-H 1.09 Å and N-H 1.01 Å.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Å and degrees
N_CA, CA_C, C_N, C_O, CA_CB, C_CH3, N_CH3 = 1.458, 1.525, 1.329, 1.231, 1.530, 1.507, 1.450
C_H, N_H = 1.09, 1.01
N_CA_C, CA_C_N, C_N_CA, O_C_N, C_N_H = 111.0, 116.9, 121.7, 123.0, 119.2
N_CA_CB, N_CA_HA, TETRAHEDRAL = 110.4, 108.5, 109.47
# Dihedral C-N-CA-x minus phi: what makes the residue L (CB) and puts HA opposite.
CB_FROM_C, HA_FROM_C = -122.6, 119.0


class Atom(NamedTuple):
    name: str
    residue_name: str
    residue_number: int
    element: str
    position: np.ndarray  # Å


def place(a: np.ndarray, b: np.ndarray, c: np.ndarray, length: float, angle: float, dihedral: float) -> np.ndarray:
    """Position d with |c-d| = `length` (Å), angle b-c-d and dihedral a-b-c-d (degrees, IUPAC sign)."""
    angle, dihedral = np.radians(angle), np.radians(dihedral)
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    across = np.cross(normal, axis)
    return c + length * (
        -np.cos(angle) * axis + np.sin(angle) * (np.cos(dihedral) * across + np.sin(dihedral) * normal)
    )


def build(num_residues: int = 3, phi: float = -75.0, psi: float = 145.0) -> list[Atom]:
    """The atoms of Ac-Ala_n-NHMe (12 + 10 n of them), L-alanine, trans peptide bonds.

    `phi` and `psi` in degrees, the same for every residue. Names are those of OpenMM's amber14 templates.
    Raises `ValueError` if there is no residue or an angle is not a finite number.
    """
    if num_residues < 1:
        raise ValueError(f"a capped alanine peptide has at least one residue, not {num_residues}")
    if not np.isfinite([phi, psi]).all():
        raise ValueError(f"phi and psi must be finite angles in degrees, not {phi} and {psi}")
    atoms: list[Atom] = []

    def add(residue: str, number: int, **positions: np.ndarray) -> None:
        atoms.extend(Atom(name, residue, number, name[0], position) for name, position in positions.items())

    def methyl(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
        return [place(a, b, c, C_H, TETRAHEDRAL, dihedral) for dihedral in (60.0, 180.0, -60.0)]

    # Acetyl: CH3, C and the next N define the first plane.
    methyl_carbon = np.zeros(3)
    carbon = np.array([C_CH3, 0.0, 0.0])
    bend = np.radians(180.0 - CA_C_N)
    nitrogen = carbon + C_N * np.array([np.cos(bend), np.sin(bend), 0.0])
    oxygen = place(methyl_carbon, nitrogen, carbon, C_O, O_C_N, 180.0)
    h1, h2, h3 = methyl(nitrogen, carbon, methyl_carbon)
    add("ACE", 1, H1=h1, CH3=methyl_carbon, H2=h2, H3=h3, C=carbon, O=oxygen)

    previous_alpha, previous_carbon = methyl_carbon, carbon
    for number in range(2, num_residues + 2):
        alpha = place(previous_alpha, previous_carbon, nitrogen, N_CA, C_N_CA, 180.0)  # omega: trans
        hydrogen = place(previous_alpha, previous_carbon, nitrogen, N_H, C_N_H, 0.0)
        carbon = place(previous_carbon, nitrogen, alpha, CA_C, N_CA_C, phi)
        beta = place(previous_carbon, nitrogen, alpha, CA_CB, N_CA_CB, phi + CB_FROM_C)
        h_alpha = place(previous_carbon, nitrogen, alpha, C_H, N_CA_HA, phi + HA_FROM_C)
        next_nitrogen = place(nitrogen, alpha, carbon, C_N, CA_C_N, psi)
        oxygen = place(alpha, next_nitrogen, carbon, C_O, O_C_N, 180.0)
        hb1, hb2, hb3 = methyl(nitrogen, alpha, beta)
        add("ALA", number, N=nitrogen, H=hydrogen, CA=alpha, HA=h_alpha, CB=beta, HB1=hb1, HB2=hb2, HB3=hb3)
        add("ALA", number, C=carbon, O=oxygen)
        previous_alpha, previous_carbon, nitrogen = alpha, carbon, next_nitrogen

    hydrogen = place(previous_alpha, previous_carbon, nitrogen, N_H, C_N_H, 0.0)
    methyl_carbon = place(previous_alpha, previous_carbon, nitrogen, N_CH3, C_N_CA, 180.0)
    h1, h2, h3 = methyl(previous_carbon, nitrogen, methyl_carbon)
    add("NME", num_residues + 2, N=nitrogen, H=hydrogen, C=methyl_carbon, H1=h1, H2=h2, H3=h3)
    return atoms
