"""Results as pictures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from .measure import LISTS_INCLUDED, MD_STEP, OURS, Row, model_name

# Okabe & Ito's palette: told apart by everyone.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000")
_MORE_COLORS = ("#7F3C8D", "#8B5A2B", "#4B6A53", "#B497E7", "#5C5C99", "#A5AA99", "#D4A6A6", "#333366", "#669966")
_SMALL_SHARE = 1.0  # %: stages below in every system are drawn as one
_METHODS = {LISTS_INCLUDED: ("o", "-"), MD_STEP: ("s", "--")}


def draw(report: dict, path: Path) -> None:
    """Time and memory against the number of atoms, one line for each program, as PNG."""
    rows = [row for row in report["results"] if row.method in _METHODS]
    if not rows:
        return
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    times, memory = figure.subplots(1, 2)
    series: dict[tuple[str, str, int, str], list[Row]] = {}
    for row in rows:
        series.setdefault((row.program, row.device, row.threads, row.method), []).append(row)
    many_threads = len({row.threads for row in rows}) > 1
    model = model_name(report["settings"]["model"])
    colors: dict[tuple, str] = {}
    for (program, device, threads, method), group in series.items():
        group.sort(key=lambda row: row.atoms)
        marker, style = _METHODS[method]
        kind = (program, threads if many_threads else 0, device if program != OURS or method != MD_STEP else "cpu")
        color = colors.setdefault(kind, _COLORS[len(colors) % len(_COLORS)])
        parts = [program if group[0].model in ("", model) else f"{program} (another model)"]
        parts += [device] if device != "cpu" else []
        label = ", ".join(parts + ([f"{threads} threads"] if many_threads else []))
        what = "energy + forces" if method == LISTS_INCLUDED else "MD step"
        atoms, middle = [row.atoms for row in group], [row.median_ms for row in group]
        errors = [
            [row.median_ms - row.lower_quartile_ms for row in group],
            [row.upper_quartile_ms - row.median_ms for row in group],
        ]
        style_of_line = {"marker": marker, "linestyle": style, "color": color, "markersize": 5, "linewidth": 1.4}
        times.errorbar(atoms, middle, errors, capsize=3, label=f"{label}: {what}", **style_of_line)
        used = [row.peak_MB - row.baseline_MB for row in group]
        memory.plot(atoms, used, label=f"{label}: {what}", **style_of_line)
    times.set_ylabel("time / ms (median; bars: quartiles)")
    memory.set_ylabel("memory above the process before the model / MB")
    for axes in (times, memory):
        _atoms_axis(axes, sorted({row.atoms for row in rows}))
        axes.set_yscale("log")
    handles = times.get_legend_handles_labels()
    if len(series) > 6 or any(len(label) > 60 for label in handles[1]):  # too much for the picture's corner
        figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    else:
        for axes in (times, memory):
            axes.legend(frameon=False, fontsize=8.5)
    settings, machine = report["settings"], report["machine"]
    figure.suptitle(
        f"{model}, {settings['precision']} precision, {settings['lr_cutoff']:g} Å long range; "
        f"{machine['cpu']}, {_threads(settings['threads'])}; lists are built at every call",
        fontsize=11,
    )
    figure.savefig(path, dpi=130)


def draw_profile(report: dict, path: Path) -> None:
    """Share of each stage in the time of an evaluation, one bar for each system."""
    profiles = report["profiles"]
    figure = Figure(figsize=(12, 1.6 + 0.75 * len(profiles) + 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = [f"{profile['system']}\n{profile['atoms']} atoms, {profile['total_ms']:.3g} ms" for profile in profiles]
    shares: dict[str, list[float]] = {}
    for k, profile in enumerate(profiles):
        for entry in profile["stages"]:
            shares.setdefault(entry["stage"], [0.0] * len(profiles))[k] += 100 * entry["ms"] / profile["total_ms"]
    large = {stage: values for stage, values in shares.items() if max(values) >= _SMALL_SHARE}
    large["the rest"] = [100 - sum(values) for values in zip(*large.values(), strict=True)]
    left = [0.0] * len(profiles)
    for index, (stage, values) in enumerate(large.items()):
        color = (*_COLORS, *_MORE_COLORS)[index]
        bars = axes.barh(names, values, left=left, color=color, edgecolor="white", label=stage)
        texts = [f"{value:.0f}" if value >= 3 else "" for value in values]
        axes.bar_label(bars, texts, label_type="center", fontsize=9, color="white")
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    axes.set_xlabel("share of the time / %")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    settings, machine = report["settings"], report["machine"]
    figure.suptitle(
        f"Where an evaluation's time goes: {settings['model']}, {settings['precision']} precision, "
        f"{machine['cpu']}, {_threads(sorted({profile['threads'] for profile in profiles}))}",
        fontsize=11,
    )
    figure.savefig(path, dpi=130)


def _threads(numbers) -> str:
    return ", ".join(map(str, numbers)) + (" thread" if list(numbers) == [1] else " threads")


def _atoms_axis(axes: Axes, sizes: list[int]) -> None:
    axes.set_xscale("log")
    shown: list[int] = []
    for size in sizes:  # labels of close sizes would run into each other
        if not shown or size > 1.25 * shown[-1]:
            shown.append(size)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(size) for size in shown])
    axes.set_xlabel("atoms")
    axes.grid(alpha=0.25, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
