"""Results as text."""

from __future__ import annotations

from .cost_model import Fit
from .measure import LISTS_GIVEN, LISTS_INCLUDED, MD_STEP, OURS, Row

ROUNDING = 5e-3  # eV/Å: programs that differ by more do not compute the same


def table(header: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as needed; the first on the left, numbers on the right."""
    widths = [max(len(line[k]) for line in [header, *rows]) for k in range(len(header))]
    left = [k == 0 or all(not _is_number(row[k]) for row in rows) for k in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if on_left else cell.rjust(width)
            for cell, width, on_left in zip(cells, widths, left, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return "\n".join(line(cells) for cells in [header, ["-" * width for width in widths], *rows])


def times(rows: list[Row], model: str) -> str:
    """Every row: time with its quartiles, memory above the process before the model was loaded.

    `model`: the one that is compared; what computes another is said to.
    """
    lines = []
    for row in rows:
        if row.error:
            continue
        start = [row.system, str(row.atoms), _program(row), row.model, str(row.threads)]
        spread = f"{row.lower_quartile_ms:.3g} to {row.upper_quartile_ms:.3g}"
        lines.append(
            [
                *start,
                row.method,
                f"{row.median_ms:.3g}",
                spread,
                f"{row.peak_MB - row.baseline_MB:.0f}",
                f"{row.ns_per_day:.3g}" if row.ns_per_day else "",
            ]
        )
    header = ["system", "atoms", "program", "model", "threads", "what", "ms", "quartiles", "memory/MB", "ns/day"]
    others = dict.fromkeys(row.model for row in rows if row.model != model and not row.error)
    remarks = [
        f"{other} is another model than {model}, with other errors and for other elements: its times say what the "
        "model costs, not how well a program runs one"
        for other in others
    ]
    failures = [f"not measured: {_program(row)}, {row.atoms} atoms: {row.error}" for row in rows if row.error]
    return "\n".join([table(header, lines), *remarks, *failures])


def accuracy(rows: list[Row]) -> str | None:
    """Speed beside the error against our float64, where peers ran; None if there is nothing to compare."""
    lines = []
    for row in rows:
        if row.method != LISTS_INCLUDED or not (row.max_force_error is not None or row.remark):
            continue
        ours = _find(rows, row, OURS, LISTS_INCLUDED)
        given = _find(rows, row, row.program, LISTS_GIVEN)
        lines.append(
            [
                row.system,
                str(row.atoms),
                _program(row),
                str(row.threads),
                f"{row.median_ms / ours.median_ms:.3g}" if ours else "",
                f"{given.median_ms / ours.median_ms:.3g}" if ours and given else "",
                *(
                    "" if error is None else f"{error:.1e}"
                    for error in (
                        row.max_force_error,
                        row.rms_force_error,
                        row.max_force_difference,
                        row.energy_change_error,
                    )
                ),
            ]
        )
    if not lines:
        return None
    header = ["system", "atoms", "program", "threads", "time/ours", "without lists/ours"]
    header += ["max dF", "rms dF", "max F-ours", "d(E2-E1)"]
    wrong = [row for row in rows if row.method == LISTS_INCLUDED and (row.max_force_error or 0) > ROUNDING]
    remarks = [
        f"{_program(row)}, {row.atoms} atoms: {row.max_force_error:.1e} eV/Å is no rounding error; "
        "it does not compute the same model, and its times mean nothing here"
        for row in wrong
    ]
    missing = {(row.atoms, row.remark): row for row in rows if row.remark}
    remarks += [f"{row.system}, {row.atoms} atoms: {row.remark}" for row in missing.values()]
    return "\n".join([table(header, lines), *remarks])


def fits(found: dict[tuple[str, str, int, str], Fit]) -> str:
    header = ["program", "threads", "what", "a/ms", "b/(us/atom)", "largest deviation"]
    lines = [
        [
            program if device == "cpu" else f"{program} {device}",
            str(threads),
            method,
            f"{fit.fixed_ms:.3g}",
            f"{fit.per_atom_us:.3g}",
            f"{100 * fit.largest_deviation:.0f} %",
        ]
        for (program, device, threads, method), fit in found.items()
    ]
    return table(header, lines)


def comparison(pairs: list[tuple[Row, Row]]) -> str:
    """Times and memory of two reports; above 1, the second is faster."""
    lines = [
        [
            a.system,
            str(a.atoms),
            _program(a),
            str(a.threads),
            a.method,
            f"{a.median_ms:.3g}",
            f"{b.median_ms:.3g}",
            f"{a.median_ms / b.median_ms:.2f}",
            "" if _apart(a, b) else "within the quartiles",
            f"{a.peak_MB - a.baseline_MB:.0f}",
            f"{b.peak_MB - b.baseline_MB:.0f}",
        ]
        for a, b in pairs
    ]
    header = ["system", "atoms", "program", "threads", "what", "first/ms", "second/ms", "faster", "", "first/MB"]
    return table([*header, "second/MB"], lines)


def nanoseconds_per_day(rows: list[Row], timestep: float) -> str:
    """The last word of a benchmark."""
    lines = [
        f"  {row.atoms:>6} atoms ({row.system}), {_steps(row)}, {row.threads} threads: {row.ns_per_day:.3g} ns/day"
        for row in rows
        if row.method == MD_STEP
    ]
    return "\n".join([f"Langevin dynamics at {timestep:g} fs:", *lines])


def _steps(row: Row) -> str:
    return row.device if row.program == OURS else f"{row.program}, {row.device}"


def _engine_device(device: str) -> str:
    """Where our engine computes for a program that runs inside OpenMM."""
    return {"OpenMM CPU": "cpu", "OpenMM Reference": "cpu", "OpenMM CUDA": "cuda"}.get(device, device)


def _program(row: Row) -> str:
    return row.program if row.device == "cpu" else f"{row.program} {row.device}"


def _find(rows: list[Row], like: Row, program: str, method: str) -> Row | None:
    same = ("system", "atoms", "threads")
    for row in rows:
        here = all(getattr(row, name) == getattr(like, name) for name in same)
        here = here and row.device in (like.device, _engine_device(like.device))
        if here and row.program == program and row.method == method:
            return row
    return None


def _apart(a: Row, b: Row) -> bool:
    return a.lower_quartile_ms > b.upper_quartile_ms or b.lower_quartile_ms > a.upper_quartile_ms


def _is_number(text: str) -> bool:
    return text == "" or text[0].isdigit()
