"""A benchmark's results on disk: JSON with everything, CSV with the rows; two of them compared."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

from .measure import BenchmarkError, Row, as_dictionary

FORMAT = 1
_KEY = ("system", "atoms", "program", "device", "precision", "threads", "method")


def write(path: Path, report: dict) -> None:
    """`report` is JSON but for "results", a list of rows; the CSV goes beside the JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [as_dictionary(row) for row in report["results"]]
    path.write_text(json.dumps({**report, "results": rows}, indent=1, ensure_ascii=False) + "\n")
    with open(path.with_suffix(".csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Row)])
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> dict:
    """The report with its rows. Raises `BenchmarkError` if the file is not one of ours."""
    try:
        report = json.loads(path.read_text())
        if report["benchmark"] != "so3krates benchmark" or report["format"] != FORMAT:
            raise KeyError
        report["results"] = [Row(method=row.pop("method", ""), **row) for row in report["results"]]
    except (KeyError, TypeError, ValueError):
        raise BenchmarkError(f"{path} is not a result of this version's 'so3krates benchmark'") from None
    return report


def compare(first: dict, second: dict) -> list[tuple[Row, Row]]:
    """The rows that both reports have measured, in the first one's order."""
    others = {_key(row): row for row in second["results"] if row.median_ms is not None}
    return [(row, others[_key(row)]) for row in first["results"] if row.median_ms is not None and _key(row) in others]


def _key(row: Row) -> tuple:
    return tuple(getattr(row, name) for name in _KEY)
