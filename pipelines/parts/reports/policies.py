"""Champion quality over a year, a line a policy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

STYLES = ("-", "--", ":")


class Line(NamedTuple):
    """One policy: ends of windows, the metric on them (None where undefined), and when a model was promoted."""

    name: str
    dates: Sequence[datetime]
    values: Sequence[float | None]
    promotions: Sequence[datetime]


def draw(lines: Sequence[Line], metric: str, title: str, path: Path) -> None:
    """Write the plot as a PNG, 1,000 pixels wide; a mark on a line is a promotion. Policies that agree lie on each other, so
    each has a dash of its own.
    """
    import numpy as np
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), dpi=125, layout="constrained")
    axes = figure.subplots()
    for line, style in zip(lines, cycle(STYLES)):
        dates = np.array([date.replace(tzinfo=None) for date in line.dates], dtype="datetime64[s]")
        values = np.array(line.values, dtype=float)  # None becomes NaN
        (drawn,) = axes.plot(dates, values, label=line.name, linewidth=1.6, linestyle=style)
        promoted = np.array([date in line.promotions for date in line.dates], dtype=bool)
        axes.plot(dates[promoted], values[promoted], "o", color=drawn.get_color(), markersize=4)
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_ylabel(metric)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, ncols=len(lines))
    figure.savefig(path)
