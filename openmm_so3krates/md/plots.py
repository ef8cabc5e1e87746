"""One picture of a finished run: energies, temperature, RMSD and, for peptides, a Ramachandran plot."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from openmm_so3krates.md.analysis import Analysis, energy_drift, second_half
from openmm_so3krates.md.settings import RunSettings

# Okabe & Ito's palette: told apart by everyone.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
_MOST_RESIDUES_IN_LEGEND = 7


def draw(analysis: Analysis, settings: RunSettings, title: str) -> bytes:
    """The picture as PNG."""
    log = analysis.log
    panels = [_energy_change if settings.ensemble != "nve" else _conserved_energy, _temperature]
    if analysis.rmsd is not None:
        panels.append(_rmsd)
    if "density_g_per_cm3" in log and settings.ensemble == "npt":
        panels.append(_density)
    if analysis.dihedrals:
        panels.append(_ramachandran)
    cells = [0, *range(len(panels))] if len(panels) % 2 else range(len(panels))  # an odd one out: the first is wide
    rows = len(cells) // 2
    figure = Figure(figsize=(11, 4.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    grid = figure.subplot_mosaic(np.reshape(cells, (rows, 2)).tolist())
    for index, panel in enumerate(panels):
        axes = grid[index]
        axes.grid(alpha=0.25, linewidth=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        panel(axes, analysis, settings)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _time_axis(times: np.ndarray) -> tuple[np.ndarray, str]:
    """Times in the unit that suits the length of the run, and the label that goes with it."""
    if len(times) and times[-1] >= 1000:
        return times / 1000, "time / ns"
    if len(times) and times[-1] < 1:
        return times * 1000, "time / fs"
    return times, "time / ps"


def _series(axes: Axes, times: np.ndarray, values: np.ndarray, color: str, label: str | None = None) -> None:
    scaled, name = _time_axis(times)
    marker = "o" if len(values) < 30 else None
    axes.plot(scaled, values, color=color, linewidth=1.0, marker=marker, markersize=3, label=label)
    axes.set_xlabel(name)
    if len(scaled) > 1:
        axes.set_xlim(0, scaled[-1])


def _energy_change(axes: Axes, analysis: Analysis, settings: RunSettings) -> None:
    """Changes since the start: the absolute energy of a composition means nothing."""
    log = analysis.log
    for name, column, color in (
        ("potential", "potential_kJ_per_mol", _COLORS[0]),
        ("kinetic", "kinetic_kJ_per_mol", _COLORS[1]),
        ("total", "total_kJ_per_mol", "black"),
    ):
        _series(axes, log["time_ps"], log[column] - log[column][0], color, name)
    axes.set_ylabel("energy $-$ energy at start / kJ mol$^{-1}$")
    axes.set_title("Energies", fontsize=11)
    axes.legend(frameon=False, fontsize=9)


def _conserved_energy(axes: Axes, analysis: Analysis, settings: RunSettings) -> None:
    log = analysis.log
    total = log["total_kJ_per_mol"] - log["total_kJ_per_mol"].mean()
    _series(axes, log["time_ps"], total, "black", "total energy")
    axes.set_ylabel("total energy $-$ mean / kJ mol$^{-1}$")
    axes.set_title("Conservation of energy", fontsize=11)
    drift = energy_drift(log)
    if drift is not None:
        times, _ = _time_axis(log["time_ps"])
        line = np.polyval(np.polyfit(log["time_ps"], total, 1), log["time_ps"])
        over_run = drift.slope * 1e-3 * log["time_ps"][-1]
        label = f"drift {over_run:.2g} kJ mol$^{{-1}}$ over the run, rms about it {drift.rms:.2g} kJ mol$^{{-1}}$"
        axes.plot(times, line, color=_COLORS[1], linewidth=1.5, label=label)
    _legend_above_data(axes)


def _temperature(axes: Axes, analysis: Analysis, settings: RunSettings) -> None:
    log = analysis.log
    _series(axes, log["time_ps"], log["temperature_K"], _COLORS[1])
    mean = second_half(log["temperature_K"]).mean()
    axes.axhline(mean, color="black", linewidth=1, linestyle="--", label=f"mean of second half {mean:.0f} K")
    if settings.ensemble != "nve":
        axes.axhline(settings.temperature, color=_COLORS[0], linewidth=1, label=f"bath {settings.temperature:g} K")
    axes.set_ylabel("temperature / K")
    axes.set_title("Temperature", fontsize=11)
    _legend_above_data(axes)


def _rmsd(axes: Axes, analysis: Analysis, settings: RunSettings) -> None:
    _series(axes, analysis.frame_times, 10 * analysis.rmsd, _COLORS[2])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("RMSD / Å")
    reference = "minimised structure" if settings.minimize else "initial structure"
    axes.set_title(f"RMSD to the {reference} ({analysis.rmsd_atoms})", fontsize=11)


def _density(axes: Axes, analysis: Analysis, settings: RunSettings) -> None:
    log = analysis.log
    _series(axes, log["time_ps"], log["density_g_per_cm3"], _COLORS[3])
    axes.set_ylabel("density / g cm$^{-3}$")
    axes.set_title(f"Density at {settings.pressure:g} bar", fontsize=11)


def _ramachandran(axes: Axes, analysis: Analysis, settings: RunSettings) -> None:
    many = len(analysis.dihedrals) > _MOST_RESIDUES_IN_LEGEND
    for index, (label, angles) in enumerate(analysis.dihedrals.items()):
        color = _COLORS[0] if many else _COLORS[index]
        axes.scatter(*angles.T, s=7, alpha=0.45, linewidths=0, color=color)
        axes.scatter(*angles[0], s=60, color=color, edgecolors="black", linewidths=0.8, zorder=3)
        if not many:
            axes.scatter([], [], s=30, color=color, label=label)
    axes.scatter([], [], s=60, color="white", edgecolors="black", label="first frame")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set(xlim=(-180, 180), ylim=(-180, 180), aspect="equal", xlabel="φ / degrees", ylabel="ψ / degrees")
    axes.set_xticks(range(-180, 181, 60))
    axes.set_yticks(range(-180, 181, 60))
    axes.set_title("Ramachandran plot", fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _legend_above_data(axes: Axes) -> None:
    low, high = axes.get_ylim()
    lines = len(axes.get_legend_handles_labels()[1])
    axes.set_ylim(low, high + 0.1 * (1 + lines) * (high - low))
    axes.legend(frameon=False, fontsize=9, loc="upper right")
