#!/usr/bin/env python3
"""Build a capped alanine peptide, Ac-Ala_n-NHMe, from internal geometry and write it as PDB.

python scripts/build_capped_alanine.py --residues 3 --phi -75 --psi 145 -o examples/ac_ala3_nhme.pdb
"""

from __future__ import annotations

import argparse

import numpy as np

from openmm_so3krates.benchmark.capped_alanine import Atom, build


def to_pdb(atoms: list[Atom]) -> str:
    """The atoms as the text of a PDB file, centred on the origin."""
    center = np.mean([atom.position for atom in atoms], axis=0)
    lines = []
    for serial, atom in enumerate(atoms, 1):
        x, y, z = atom.position - center
        lines.append(
            f"ATOM  {serial:5d}  {atom.name:<3s} {atom.residue_name:>3s} A{atom.residue_number:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {atom.element:>2s}"
        )
    last = atoms[-1]
    lines.append(f"TER   {len(atoms) + 1:5d}      {last.residue_name:>3s} A{last.residue_number:4d}")
    return "\n".join([*lines, "END", ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="example: build_capped_alanine.py --residues 3 --phi -75 --psi 145 -o examples/ac_ala3_nhme.pdb",
    )
    parser.add_argument("--residues", type=int, default=3, help="number of alanines (default 3)")
    parser.add_argument("--phi", type=float, default=-75.0, help="degrees (default -75)")
    parser.add_argument("--psi", type=float, default=145.0, help="degrees (default 145)")
    parser.add_argument("-o", "--output", help="PDB file to write (default: standard output)")
    arguments = parser.parse_args()
    try:
        text = to_pdb(build(arguments.residues, arguments.phi, arguments.psi))
    except ValueError as error:
        parser.error(str(error))
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
