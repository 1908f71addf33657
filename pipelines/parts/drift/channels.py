"""One watched channel: how far a window is from the reference, and how far windows of the reference itself are.

Each channel turns its statistic into `surprise`, minus the logarithm of its asymptotic p-value. That puts channels of
different kinds on one scale; how large a surprise is too large is then learnt by resampling (see `reference.py`), so the
asymptotics need not be exact.

Statistics: the two-sample Kolmogorov-Smirnov distance for numbers (p ~ 2 exp(-2 n m / (n + m) D^2)), the two-sample
G-test for categories and for missing values (chi-square with one degree of freedom per level after the first). The effect
is the population stability index less what it is expected to be without drift, (B - 1)(1/n + 1/m) for B bins
(Yurdakul 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Kind = Literal["numeric", "categorical", "missing", "score", "prediction"]
Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

BINS = 10
"""Quantile bins of a numeric channel in the stability index."""
EXPECTED = 5.0
"""A level expected fewer times than this in a window is pooled with the other rare ones and with new ones."""


@dataclass(frozen=True)
class Finding:
    """A window beside the reference, in one channel."""

    statistic: float
    """The distance itself: Kolmogorov-Smirnov, or G per row."""
    surprise: float
    """Minus the logarithm of the statistic's asymptotic p-value, the scale on which channels are compared."""
    effect: float
    """Stability index less what it is expected to be without drift, at least 0 (see `stability`)."""
    note: str
    """What changed, in numbers, for people."""


class Channel(Protocol):
    """One thing that is watched: a column, its missing values, or an answer of the model."""

    name: str
    kind: Kind
    column: str
    """The array it looks at."""

    def compare(self, window: NDArray[Any], size: int) -> Finding:
        """How far the window's values are from the reference's."""

    def null(self, positions: NDArray[np.intp]) -> Floats:
        """Surprise of windows drawn from the reference, one a row of positions, beside the rest of the reference."""

    def describe(self) -> dict[str, Any]:
        """Plain statistics of the reference."""


class Numeric:
    """Numbers by the Kolmogorov-Smirnov distance; NaN is missing and left out."""

    def __init__(self, name: str, kind: Kind, values: Floats) -> None:
        self.name = self.column = name
        self.kind = kind
        present = np.isfinite(values)
        levels, codes, counts = np.unique(values[present], return_inverse=True, return_counts=True)
        self.sorted = np.repeat(levels, counts)
        self.upper = np.cumsum(counts) / max(self.sorted.size, 1)
        self.lower = self.upper - counts / max(self.sorted.size, 1)
        self.codes = np.full(values.size, levels.size, dtype=np.int32)  # missing sorts last
        self.codes[present] = codes
        quantiles = np.arange(1, BINS) / BINS
        self.edges = np.unique(np.quantile(self.sorted, quantiles)) if self.sorted.size else np.empty(0)

    def compare(self, window: Floats, size: int) -> Finding:
        present = np.sort(window[np.isfinite(window)])
        n, m = present.size, self.sorted.size
        if not n or not m:
            return Finding(0.0, 0.0, 0.0, "no value in the window" if m else "no value in the reference")
        upper = np.searchsorted(self.sorted, present, side="right") / m
        lower = np.searchsorted(self.sorted, present, side="left") / m
        steps = np.arange(n)
        distance = max(float(np.max((steps + 1) / n - upper)), float(np.max(lower - steps / n)))
        effect = stability(self._bins(self.sorted), self._bins(present))
        note = f"mean {_plain(self.sorted.mean())} → {_plain(present.mean())}"
        return Finding(distance, float(_ks_surprise(np.array(distance), np.array(n * m / (n + m)))), effect, note)

    def null(self, positions: NDArray[np.intp]) -> Floats:
        """The distance of n drawn rows from the m - n others is m / (m - n) times that from all m."""
        drawn = np.sort(self.codes[positions], axis=1)
        m = self.sorted.size
        n = np.sum(drawn < self.upper.size, axis=1, keepdims=True)
        steps = np.arange(drawn.shape[1])
        with np.errstate(all="ignore"):
            above = (steps + 1) / n - np.append(self.upper, np.inf)[drawn]
            below = np.append(self.lower, -np.inf)[drawn] - steps / n
            distance = np.maximum(above.max(axis=1), below.max(axis=1))
            n = n[:, 0]
            found = _ks_surprise(distance * m / (m - n), n * (m - n) / m)
        return np.where((n > 0) & (n < m), np.nan_to_num(found), 0.0)

    def describe(self) -> dict[str, Any]:
        about = {"name": self.name, "kind": self.kind, "present": int(self.sorted.size), "edges": self.edges.tolist()}
        spread = {"mean": float(self.sorted.mean()), "deviation": float(self.sorted.std())} if self.sorted.size else {}
        return about | spread

    def _bins(self, values: Floats) -> NDArray[np.intp]:
        """Counts between the edges, and on each edge: a value that many rows share is a bin of its own."""
        place = np.searchsorted(self.edges, values, side="left") + np.searchsorted(self.edges, values, side="right")
        return np.bincount(place, minlength=2 * self.edges.size + 1)


class Categorical:
    """Levels by the G-test; those named as missing are left out."""

    def __init__(self, column: str, kind: Kind, values: NDArray[np.str_], missing: Sequence[str] = ()) -> None:
        self.column, self.kind, self.missing = column, kind, tuple(missing)
        self.name = f"{column} (missing)" if kind == "missing" else column
        present = ~np.isin(values, self.missing)
        levels, codes, counts = np.unique(values[present], return_inverse=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        self.levels, self.counts = levels[order], counts[order]
        self.codes = np.full(values.size, -1, dtype=np.int32)
        self.codes[present] = np.argsort(order, kind="stable")[codes]

    def compare(self, window: NDArray[np.str_], size: int) -> Finding:
        window = window[~np.isin(window, self.missing)]
        levels, found = np.unique(window, return_counts=True)
        counts = np.zeros(self.levels.size + 1, dtype=np.intp)  # the last one holds levels the reference does not know
        place = {level: index for index, level in enumerate(self.levels)}
        for level, count in zip(levels, found, strict=True):
            counts[place.get(level, -1)] += count
        pooled, reference = self._pool(counts, size), self._pool(np.append(self.counts, 0), size)
        if not pooled.sum() or not reference.sum():
            return Finding(0.0, 0.0, 0.0, "no value in the window" if reference.sum() else "no value in the reference")
        g, surprise = _g_test(pooled[None], reference[None])
        return Finding(
            float(g[0]) / window.size, float(surprise[0]), stability(reference, pooled), self._note(counts, levels, found, place)
        )

    def null(self, positions: NDArray[np.intp]) -> Floats:
        size, width = positions.shape[1], self.levels.size + 2
        codes = self.codes[positions] % width  # -1, the missing ones, become the last code
        offsets = np.arange(len(positions), dtype=np.intp)[:, None] * width
        counts = np.bincount((codes + offsets).ravel(), minlength=len(positions) * width).reshape(-1, width)[:, :-1]
        drawn = self._pool(counts, size)
        return _g_test(drawn, self._pool(np.append(self.counts, 0), size) - drawn)[1]

    def describe(self) -> dict[str, Any]:
        levels = dict(zip(self.levels.tolist(), self.counts.tolist(), strict=True))
        return {"name": self.name, "kind": self.kind, "present": int(self.counts.sum()), "levels": levels}

    def _pool(self, counts: NDArray[np.intp], size: int) -> NDArray[np.intp]:
        """Counts (…, levels + 1) with the rare levels, for windows of `size` rows, in the last place."""
        kept = int(np.sum(self.counts * size >= EXPECTED * max(self.counts.sum(), 1))) if self.kind != "missing" else 2
        return np.concatenate([counts[..., :kept], counts[..., kept:].sum(axis=-1, keepdims=True)], axis=-1)

    def _note(self, counts: NDArray[np.intp], levels: NDArray[np.str_], found: NDArray[np.intp], place: dict[Any, int]) -> str:
        if self.kind == "missing":
            return f"{_missing(self.levels, self.counts):.1%} → {_missing(levels, found):.1%}"
        before, after = np.append(self.counts, 0) / self.counts.sum(), counts / counts.sum()
        moved = int(np.argmax(np.abs(after - before)[:-1]))
        note = f"'{self.levels[moved]}' {before[moved]:.1%} → {after[moved]:.1%}"
        new = [str(level) for level in levels if level not in place]
        return f"{note}; new: {', '.join(repr(level) for level in new[:5])} ({after[-1]:.1%})" if new else note


def stability(reference: NDArray[np.intp], window: NDArray[np.intp]) -> float:
    """Population stability index of two rows of counts, less its expectation without drift, and not below 0.

    Half a count is added to each bin, so that an empty one does not make it infinite.
    """
    used = (reference + window) > 0
    p, q = reference[used] + 0.5, window[used] + 0.5
    m, n = p.sum(), q.sum()
    p, q = p / m, q / n
    index = float(np.sum((q - p) * np.log(q / p)))
    return max(0.0, index - float((p.size - 1) * (1 / n + 1 / m)))


def _ks_surprise(distance: NDArray[Any], effective: NDArray[Any]) -> Floats:
    found: Floats = 2 * effective * distance**2 - np.log(2)
    return found


def _g_test(window: NDArray[np.intp], rest: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """G and its surprise for each pair of rows of counts, (tables, levels)."""
    from scipy.special import gammaincc, xlogy

    both, n, m = window + rest, window.sum(axis=1, keepdims=True), rest.sum(axis=1, keepdims=True)
    terms = xlogy(window, window) + xlogy(rest, rest) - xlogy(both, both)
    g = 2 * (terms.sum(axis=1) + (xlogy(n + m, n + m) - xlogy(n, n) - xlogy(m, m))[:, 0])
    g = np.maximum(g, 0.0)
    freedom = np.maximum((both > 0).sum(axis=1) - 1, 1)
    p = gammaincc(freedom / 2, g / 2)
    with np.errstate(divide="ignore"):
        return g, np.where(p > 1e-290, -np.log(p), g / 2)


def _missing(levels: NDArray[np.str_], counts: NDArray[np.intp]) -> float:
    return float(counts[levels == "missing"].sum() / counts.sum())


def _plain(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
