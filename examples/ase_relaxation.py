"""Ethanol, or any molecule in a file that ASE reads, relaxed by ASE with SO3LR, and its vibrations.

    python examples/ase_relaxation.py --output ethanol
    python examples/ase_relaxation.py examples/alanine_dipeptide.pdb --output dipeptide

Writes relaxed.xyz and frequencies.csv and prints the harmonic wavenumbers.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import ase.io
import numpy as np
from ase.build import molecule
from ase.optimize import BFGSLineSearch
from ase.vibrations import Vibrations
from tqdm import tqdm

from openmm_so3krates.ase import SO3kratesCalculator


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("structure", nargs="?", help="file of a molecule (default: ethanol)")
    parser.add_argument("--model", default="so3lr", help="installed model or path of a model file (default so3lr)")
    parser.add_argument("--charge", type=float, default=0, help="total charge in e (default 0)")
    parser.add_argument("--spin", type=float, default=0, help="number of unpaired electrons (default 0)")
    parser.add_argument("--steps", type=int, default=500, help="most steps of the relaxation (default 500)")
    parser.add_argument("--output", type=Path, default=Path("relaxed"), help="folder to write to")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    atoms = ase.io.read(options.structure) if options.structure else molecule("CH3CH2OH")
    atoms.calc = SO3kratesCalculator(options.model, charge=options.charge, spin=options.spin)
    before = atoms.get_potential_energy()
    relaxation = BFGSLineSearch(atoms, logfile=None)  # plain BFGS wanders along the torsions of floppy molecules
    with tqdm(total=options.steps, desc="relaxing", unit="step", disable=None) as bar:
        relaxation.attach(bar.update)
        converged = relaxation.run(fmax=1e-4, steps=options.steps)
    force = np.linalg.norm(atoms.get_forces(), axis=1).max()
    print(f"energy lowered by {before - atoms.get_potential_energy():.4f} eV; largest force {force:.1e} eV/Å")
    ase.io.write(options.output / "relaxed.xyz", atoms, format="extxyz")
    if not converged:
        print("error: not relaxed, so it has no harmonic vibrations; give more --steps", file=sys.stderr)
        return 1

    with tempfile.TemporaryDirectory() as folder:  # ASE keeps the forces of every displacement in files
        vibrations = Vibrations(atoms, name=f"{folder}/displacements", delta=0.002)
        vibrations.run()
        wavenumbers = vibrations.get_frequencies()
    # An unstable mode has an imaginary wavenumber, written as a negative one by custom.
    wavenumbers = np.where(wavenumbers.imag > 0, -wavenumbers.imag, wavenumbers.real)
    table = options.output / "frequencies.csv"
    np.savetxt(table, wavenumbers, "%.2f", header="wavenumber_per_cm", comments="")
    print("harmonic wavenumbers / cm⁻¹ (the first six are translations and rotations):")
    for row in range(0, len(wavenumbers), 8):
        print("".join(f"{value:9.1f}" for value in wavenumbers[row : row + 8]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
