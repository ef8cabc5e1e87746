"""The numbers of a finished run, for machines (`summary.json`) and for people."""

from __future__ import annotations

import numpy as np

from openmm_so3krates.md.analysis import Analysis, energy_drift, second_half
from openmm_so3krates.md.quantities import format_time
from openmm_so3krates.md.settings import RunSettings


def summarise(
    analysis: Analysis, settings: RunSettings, num_atoms: int, num_degrees_of_freedom: int, wall_seconds: float
) -> dict:
    """Averages and standard deviations are over the second half of the log, drifts over all of it.

    Units are in the names. The drift is that of the total energy and given for NVE only: a thermostat changes it.
    """
    log = analysis.log
    summary = {
        "atoms": num_atoms,
        "degrees_of_freedom": num_degrees_of_freedom,
        "steps": settings.steps,
        "time_ps": settings.total_time,
        "frames": len(analysis.frame_times),
        "wall_seconds": wall_seconds,
        "milliseconds_per_step": 1e3 * wall_seconds / settings.steps,
        "ns_per_day": settings.total_time * 1e-3 * 86400 / wall_seconds if wall_seconds > 0 else None,
    }
    for column, values in log.items():
        if column not in ("step", "time_ps", "speed_ns_per_day"):
            half = second_half(values)
            summary[column] = {"mean": float(half.mean()), "standard_deviation": float(half.std())}
    drift = energy_drift(log) if settings.ensemble == "nve" else None
    if drift is not None:
        summary["energy_drift_kJ_per_mol_per_ns"] = drift.slope
        summary["energy_drift_kJ_per_mol_per_ns_per_atom"] = drift.slope / num_atoms
        summary["energy_drift_over_run_kJ_per_mol"] = drift.slope * 1e-3 * float(log["time_ps"][-1])
        summary["energy_rms_about_drift_kJ_per_mol"] = drift.rms
    if analysis.rmsd is not None:
        summary["rmsd_nm"] = {
            "atoms": analysis.rmsd_atoms,
            "final": float(analysis.rmsd[-1]),
            "mean": float(second_half(analysis.rmsd).mean()),
            "largest": float(np.max(analysis.rmsd)),
        }
    if analysis.dihedrals:
        summary["final_phi_psi_degrees"] = {
            label: [round(float(angle), 1) for angle in angles[-1]] for label, angles in analysis.dihedrals.items()
        }
    return summary


def summary_lines(summary: dict, settings: RunSettings) -> list[str]:
    """The summary as aligned lines of text."""
    temperature = summary["temperature_K"]
    rows = [
        (
            "simulated",
            f"{format_time(summary['time_ps'])} in {summary['steps']} steps, {summary['frames']} frames, "
            f"{_duration(summary['wall_seconds'])}",
        ),
        ("speed", f"{summary['milliseconds_per_step']:.3g} ms per step, {summary['ns_per_day'] or 0:.3g} ns/day"),
        ("temperature", f"{temperature['mean']:.1f} K ± {temperature['standard_deviation']:.1f} K (second half)"),
    ]
    if settings.ensemble == "nve" and "energy_drift_kJ_per_mol_per_ns" in summary:
        rows.append(
            (
                "energy drift",
                f"{summary['energy_drift_kJ_per_mol_per_ns_per_atom']:.3g} kJ/mol per ns and atom; "
                f"{summary['energy_drift_over_run_kJ_per_mol']:.2g} kJ/mol over the run, "
                f"rms about it {summary['energy_rms_about_drift_kJ_per_mol']:.2g} kJ/mol",
            )
        )
    if "density_g_per_cm3" in summary:
        density = summary["density_g_per_cm3"]
        rows.append(("density", f"{density['mean']:.4f} g/cm³ ± {density['standard_deviation']:.4f} g/cm³"))
    if "rmsd_nm" in summary:
        rmsd = summary["rmsd_nm"]
        start = "minimised" if settings.minimize else "initial"
        rows.append(
            (
                "RMSD",
                f"{10 * rmsd['final']:.2f} Å at the end, {10 * rmsd['largest']:.2f} Å at most, "
                f"to the {start} structure ({rmsd['atoms']})",
            )
        )
    return [f"  {name:<13}{text}" for name, text in rows]


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
