"""Coordinates of the small plots: numbers in, numbers out. The templates draw them as SVG in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.core.evidence import Estimate


@dataclass(frozen=True)
class Mark:
    """One estimate on the plot, in pixels from its upper left corner."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Plot:
    """Marks in order, and the values at the lower and the upper edge."""

    width: int
    height: int
    marks: tuple[Mark, ...]
    bottom: float
    top: float

    @property
    def line(self) -> str:
        """The points of an SVG polyline through the values."""
        return " ".join(f"{mark.x:g},{mark.y:g}" for mark in self.marks)

    @property
    def band(self) -> str:
        """The points of an SVG polygon around the intervals."""
        up = [f"{mark.x:g},{mark.high:g}" for mark in self.marks]
        down = [f"{mark.x:g},{mark.low:g}" for mark in reversed(self.marks)]
        return " ".join(up + down)


def plot(estimates: Sequence[Estimate], width: int, height: int, margin: int = 4) -> Plot:
    """Estimates from left to right at equal distances; the axis holds all their intervals.

    >>> flat = Estimate(value=0.5, low=0.5, high=0.5)
    >>> plot([flat], 100, 20).marks
    (Mark(x=50.0, y=10.0, low=10.0, high=10.0),)
    """
    bottom = min((one.low for one in estimates), default=0.0)
    top = max((one.high for one in estimates), default=0.0)
    step = (width - 2 * margin) / max(len(estimates) - 1, 1)
    first = margin if len(estimates) > 1 else width / 2

    def down(value: float) -> float:
        share = (value - bottom) / (top - bottom) if top > bottom else 0.5
        return round(height - margin - share * (height - 2 * margin), 1)

    marks = tuple(
        Mark(round(first + index * step, 1), down(one.value), down(one.low), down(one.high))
        for index, one in enumerate(estimates)
    )
    return Plot(width, height, marks, bottom, top)
