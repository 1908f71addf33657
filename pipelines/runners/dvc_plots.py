"""Numbers of a run as `dvc plots` wants them: one CSV a line, and a `dvc.yaml` that says which column goes where.

A project writes plain tables whose columns say what they are: leading text columns name a series or a bar, the first number
is the x axis, the numbers after it are y (but `rows`, which says how many rows stand behind a point)::

    model,fpr,tpr            one line per model           roc.csv
    feature,importance       one bar per feature          shap_importance.csv
    actual,predicted         two text columns: counted    confusion.csv
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Table = Sequence[Sequence[str]]


def arrange(source: Path, target: Path) -> list[dict[str, Any]]:
    """Write the tables of `source` into `target`; return the `plots` section of a `dvc.yaml` beside `target`.

    Tables of another shape, and empty ones, are copied and not plotted.
    """
    target.mkdir(parents=True)
    plots = []
    for file in sorted(source.glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as stream:
            header, *rows = list(csv.reader(stream)) or [[]]
        words = sum(not _is_number(cell) for cell in rows[0]) if rows else len(header)
        numbers = header[words:]
        if words <= 1 and len(numbers) >= 2:
            plots.append(_lines(file.stem, header, rows, target, split=words == 1))
            continue
        (target / file.name).write_bytes(file.read_bytes())
        path = f"{target.name}/{file.name}"
        if rows and words == 1 and len(numbers) == 1:
            plots.append({file.stem: {"template": "bar_horizontal", "x": numbers[0], "y": {path: header[0]}}})
        elif rows and words == 2 and not numbers:
            plots.append({file.stem: {"template": "confusion", "x": header[0], "y": {path: header[1]}}})
    return plots


def _lines(name: str, header: Sequence[str], rows: Table, target: Path, *, split: bool) -> dict[str, Any]:
    """One file per series, all in one plot."""
    columns = list(header[1:] if split else header)
    series: dict[str, list[Sequence[str]]] = {}
    for row in rows:
        series.setdefault(row[0] if split else name, []).append(row[1:] if split else row)
    values = [column for column in columns[1:] if column != "rows"]
    wanted: dict[str, Any] = {}
    for number, (label, lines) in enumerate(sorted(series.items())):
        file = target / name / f"{_file_name(label, number)}.csv"
        file.parent.mkdir(exist_ok=True)
        with file.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([columns, *lines])
        wanted[f"{target.name}/{name}/{file.name}"] = values[0] if len(values) == 1 else values
    return {name: {"template": "linear", "x": columns[0], "y": wanted}}


def _file_name(label: str, number: int) -> str:
    """A label as a file's name; its number where nothing of it can be used."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in label).strip("-.") or str(number)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
