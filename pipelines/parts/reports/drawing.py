"""How figures are drawn: PNG for people, CSV with the same numbers for `dvc plots`. Same numbers, same bytes.

A figure `name` is `<folder>/<name>.png`, its numbers `<folder>/plots/<name>.csv`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#9c6b4e", "#97bbf5", "#9498a0")


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in turn; they repeat when there are more names than colours."""
    return dict(zip(names, cycle(COLOURS), strict=False))


class Picture:
    """A figure of any shape, saved on leaving and never when drawing failed. Drawn without pyplot: no global state, no display.

    `width` and `height` are inches, a hundred pixels each. `colours` is the size of the file's palette, which keeps
    photographs small; None keeps every colour.
    """

    def __init__(self, path: Path, width: float, height: float, colours: int | None = None) -> None:
        from matplotlib.figure import Figure

        self.path, self.colours = path, colours
        self.figure = Figure(figsize=(width, height), dpi=100, layout="constrained")

    def __enter__(self) -> Any:
        return self.figure

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            drawn = io.BytesIO()
            self.figure.savefig(drawn, format="png", metadata={"Software": None})
            self.path.write_bytes(drawn.getvalue() if self.colours is None else _with_palette(drawn, self.colours))


class Plot(Picture):
    """One titled pair of axes."""

    def __init__(self, path: Path, title: str, x: str, y: str, size: float = 5.2, wide: bool = False) -> None:
        super().__init__(path, size * (1.5 if wide else 1.25), size)
        self.axes: Axes = self.figure.add_subplot()
        self.axes.set_title(title)
        self.axes.set_xlabel(x)
        self.axes.set_ylabel(y)
        self.axes.grid(visible=True, alpha=0.3)

    def __enter__(self) -> Axes:
        return self.axes


def _with_palette(drawn: io.BytesIO, colours: int) -> bytes:
    from PIL import Image

    small = io.BytesIO()
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
    return small.getvalue()


def table(folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write the numbers of a figure; floats to six digits, None as an empty cell."""
    path = folder / "plots" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
