"""Small drawings of a channel, window on reference: numbers for the templates, which draw them as SVG and bars.

Drawn in the page's own colours, so that they follow light and dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 24
LEVELS = 6
"""Levels drawn of a category; the others share a bar."""
WIDTH, HEIGHT = 240, 80
"""Of a curve's drawing area, in its own units."""


@dataclass(frozen=True)
class Curves:
    """Two histograms of numbers on the same bins, each scaled by the higher peak of the two."""

    name: str
    low: float
    high: float
    reference: str
    """An SVG path, closed along the bottom."""
    window: str


@dataclass(frozen=True)
class Bar:
    """One level of a category."""

    label: str
    reference: float
    """Share of the rows that have a value, 0 to 1."""
    window: float
    new: bool = False
    """Never seen in the reference."""


@dataclass(frozen=True)
class Bars:
    """The levels of a category that have moved or are large."""

    name: str
    bars: tuple[Bar, ...]


Sketch = Curves | Bars


def sketch(name: str, reference: NDArray[Any], window: NDArray[Any]) -> Sketch:
    """Both sides of one channel: floats (NaN missing) as curves, text ('' missing) as bars."""
    if reference.dtype.kind == "f":
        return _curves(name, reference[np.isfinite(reference)], window[np.isfinite(window)])
    return _bars(name, reference[reference != ""], window[window != ""])


def _curves(name: str, reference: NDArray[np.float64], window: NDArray[np.float64]) -> Curves:
    """Between the half percents that lie lowest and highest; what lies beyond is in the outermost bins."""
    ends = np.concatenate([np.quantile(side, [0.005, 0.995]) for side in (reference, window) if side.size] or [np.zeros(2)])
    low, high = float(ends.min()), float(ends.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    shares = [np.histogram(np.clip(side, low, high), BINS, (low, high))[0] / max(side.size, 1) for side in (reference, window)]
    peak = max(float(share.max()) for share in shares) or 1.0
    return Curves(name, low, high, *(_path(share / peak) for share in shares))


def _path(heights: NDArray[np.float64]) -> str:
    """Steps as an SVG path."""
    step = WIDTH / heights.size
    tops = [f"V{HEIGHT * (1 - height):.1f}H{step * (place + 1):.1f}" for place, height in enumerate(heights.tolist())]
    return f"M0 {HEIGHT}{''.join(tops)}V{HEIGHT}Z"


def _bars(name: str, reference: NDArray[np.str_], window: NDArray[np.str_]) -> Bars:
    levels = np.union1d(reference, window)
    shares = [_shares(side, levels) for side in (reference, window)]
    order = np.argsort(-np.maximum(*shares), kind="stable")
    kept, others = order[:LEVELS], order[LEVELS:]
    bars = [Bar(str(levels[i]), float(shares[0][i]), float(shares[1][i]), new=shares[0][i] == 0) for i in kept]
    if others.size:
        bars.append(Bar(f"{others.size} others", float(shares[0][others].sum()), float(shares[1][others].sum())))
    return Bars(name, tuple(bars))


def _shares(side: NDArray[np.str_], levels: NDArray[np.str_]) -> NDArray[np.float64]:
    found = np.zeros(levels.size)
    present, counts = np.unique(side, return_counts=True)
    found[np.searchsorted(levels, present)] = counts / max(side.size, 1)
    return found
