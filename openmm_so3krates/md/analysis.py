"""What a finished run was like, computed from its own output files alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import mdtraj
import numpy as np
from openmm import app, unit

from openmm_so3krates.md.log import read_log
from openmm_so3krates.md.trajectory import read_positions

_WATER = ("HOH", "WAT", "TIP3")


@dataclass
class Analysis:
    """`log`: columns of the CSV log. `rmsd`: (frames,) nm after superposition on the reference, None where it says
    nothing; `rmsd_atoms` describes the atoms it is taken over. `dihedrals`: residue label -> (frames, 2) phi and psi
    in degrees, frame 0 first. `frame_times`: (frames,) ps.
    """

    log: dict[str, np.ndarray]
    frame_times: np.ndarray
    rmsd: np.ndarray | None = None
    rmsd_atoms: str = ""
    dihedrals: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class EnergyDrift:
    """Straight line through the total energy: `slope` kJ/mol/ns and `rms` deviation from it, kJ/mol."""

    slope: float
    rms: float


def analyse(topology: app.Topology, log: Path, trajectory: Path, reference: Path, frame_interval: float) -> Analysis:
    """Reads a run's files; `frame_interval` ps between frames. Raises `OutputError` if one cannot be read."""
    mdtraj_topology = mdtraj.Topology.from_openmm(topology)
    atoms, description = _atoms_to_compare(mdtraj_topology, topology.getPeriodicBoxVectors() is not None)
    positions = app.PDBFile(str(reference)).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    start = mdtraj.Trajectory(np.asarray(positions)[None], mdtraj_topology)
    pairs = _backbone_dihedrals(start)
    num_frames, rmsds = 0, []
    angles: dict[str, list[np.ndarray]] = {label: [] for label in pairs}
    for chunk in read_positions(trajectory, mdtraj_topology):
        frames = mdtraj.Trajectory(chunk, mdtraj_topology)
        num_frames += frames.n_frames
        if atoms is not None:
            rmsds.append(mdtraj.rmsd(frames, start, atom_indices=atoms))
        for label, quadruples in pairs.items():
            angles[label].append(np.degrees(mdtraj.compute_dihedrals(frames, quadruples, periodic=False)))
    return Analysis(
        log=read_log(log),
        frame_times=np.arange(num_frames) * frame_interval,
        rmsd=np.concatenate(rmsds) if rmsds else None,
        rmsd_atoms=description,
        dihedrals={label: np.concatenate(parts) for label, parts in angles.items() if parts},
    )


def energy_drift(log: dict[str, np.ndarray]) -> EnergyDrift | None:
    """Least-squares line through the total energy, None with fewer than three points."""
    time, energy = log["time_ps"], log["total_kJ_per_mol"]
    if len(time) < 3:
        return None
    slope, offset = np.polyfit(time, energy, 1)
    return EnergyDrift(1e3 * slope, float(np.sqrt(np.mean((energy - offset - slope * time) ** 2))))


def second_half(values: np.ndarray) -> np.ndarray:
    """The part that averages are taken over: a run begins away from equilibrium."""
    return values[len(values) // 2 :]


def _atoms_to_compare(topology: mdtraj.Topology, periodic: bool) -> tuple[np.ndarray | None, str]:
    """Heavy atoms of the solute. In a box only of its largest molecule: molecules drift apart, which is no RMSD."""
    solute = [atom for atom in topology.atoms if atom.residue.name not in _WATER]
    what = "heavy atoms"
    if periodic and solute:
        molecules = topology.find_molecules()
        largest = max(molecules, key=lambda molecule: sum(a.residue.name not in _WATER for a in molecule))
        if len(largest) < len(solute):
            solute, what = sorted(largest, key=lambda atom: atom.index), "heavy atoms of the largest molecule"
    if not periodic and not solute:
        solute = list(topology.atoms)
    heavy = [atom.index for atom in solute if atom.element.number > 1]
    if len(heavy) < 3:
        heavy, what = [atom.index for atom in solute], what.replace("heavy atoms", "atoms")
    return (np.array(heavy), what) if len(heavy) > 1 else (None, "")


def _backbone_dihedrals(start: mdtraj.Trajectory) -> dict[str, np.ndarray]:
    """Residue label -> the two atom quadruples (2, 4) of phi and psi, where a residue has both."""
    phi, _ = mdtraj.compute_phi(start, periodic=False)
    psi, _ = mdtraj.compute_psi(start, periodic=False)
    psi_by_alpha = {quadruple[1]: quadruple for quadruple in psi}
    labels = {}
    for quadruple in phi:
        alpha = quadruple[2]
        if alpha in psi_by_alpha:
            residue = start.topology.atom(alpha).residue
            label = f"{residue.name} {residue.resSeq}"
            if label in labels:
                label += f" {residue.chain.chain_id or residue.chain.index}"
            labels[label] = np.array([quadruple, psi_by_alpha[alpha]])
    return labels
