"""One watched channel: what it keeps of a set of rows, and how far two sets are apart in it.

A channel turns rows into a *profile*: counts that add up, so that the profile of a large window is the sum over its parts,
and that of "the reference without these rows" a difference. Two profiles give a statistic, and this a `surprise`, minus the
logarithm of its asymptotic p-value. That puts channels of different kinds on one scale; how large a surprise is too large
is then learnt by resampling (see `reference.py`), so the asymptotics need not be exact.

Statistics: the two-sample Kolmogorov-Smirnov distance between counts in quantile bins for numbers
(p ~ 2 exp(-2 n m / (n + m) D^2)), the two-sample G-test for categories and for missing values (chi-square with one degree of
freedom per level after the first); all columns together in `joint.py`. The effect is the population stability index less
what it is expected to be without drift, (B - 1)(1/n + 1/m) for B bins (Yurdakul 2018).
"""

from __future__ import annotations

from copy import copy
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.parts.drift.coding import Codes, Floats, Levels, Positions, Quantiles, Rows, counted

Kind = Literal["numeric", "categorical", "missing", "score", "prediction", "joint", "label"]

BINS = 10
"""Bins of a numeric channel in the stability index."""
EXPECTED = 5.0
"""A level expected fewer times than this is pooled with the other rare ones and with new ones."""
SUMMED = 30
"""Degrees of freedom up to which chi-square's tail is summed."""


class Channel(Protocol):
    """One thing that is watched: a column, its missing values, an answer of the model, or all columns together."""

    name: str
    kind: Kind
    total: Floats
    """Profile of the reference, shape (d,)."""

    def profiles(self, positions: Positions) -> Floats:
        """Profiles of sets of the reference's own rows, one set a row of positions; shape (sets, d)."""

    def observed(self, rows: Rows, sets: int = 1) -> Floats:
        """Profiles of given rows, cut into so many equal sets one after another; shape (sets, d)."""

    def surprise(self, windows: Floats, reference: Floats) -> Floats:
        """Surprise of each window's profile, shape (windows, d), beside one reference's, beside a row each, or beside each of
        several references', (references, 1, d)."""

    def effect(self, windows: Floats) -> Floats:
        """How far each window's profile is from the reference's: stability index less what it is expected to be without
        drift, at least 0 (see `stability`)."""

    def beside(self, rows: Rows) -> Self:
        """The same channel with other rows, in place of all of the reference's, to compare windows with."""

    def statistic(self, rows: Rows, profile: Floats) -> float:
        """The distance itself: Kolmogorov-Smirnov, G per row, or the area under the ROC curve; `profile`: (1, d)."""

    def note(self, rows: Rows, profile: Floats) -> str:
        """What changed, in numbers, for people."""

    def describe(self) -> dict[str, Any]:
        """Plain statistics of the reference."""


class Numeric:
    """Numbers by the Kolmogorov-Smirnov distance; missing ones are left out."""

    def __init__(self, name: str, kind: Kind, coder: Quantiles, codes: Codes, values: Floats) -> None:
        self.name, self.kind, self.coder, self.codes = name, kind, coder, codes
        self._describe(counted(codes[None], coder.width)[0], values)

    def _describe(self, total: Floats, values: Floats) -> None:
        self.total, present = total, values[np.isfinite(values)]
        self.about = {"mean": float(present.mean()), "deviation": float(present.std())} if present.size else {}
        middle = np.cumsum(self.total[:-1]) - self.total[:-1] / 2
        place = np.minimum(BINS * middle / max(present.size, 1), BINS - 1).astype(int)
        self.starts = np.flatnonzero(np.diff(place, prepend=-1))

    def beside(self, rows: Rows) -> Self:
        found = copy(self)
        found._describe(self.observed(rows)[0], rows.values[self.name])
        return found

    def profiles(self, positions: Positions) -> Floats:
        return counted(self.codes[positions], self.coder.width)

    def observed(self, rows: Rows, sets: int = 1) -> Floats:
        return counted(rows.codes[self.name].reshape(sets, -1), self.coder.width)

    def surprise(self, windows: Floats, reference: Floats) -> Floats:
        return self._distance(windows, reference)[1]

    def effect(self, windows: Floats) -> Floats:
        before, after = (np.add.reduceat(counts[..., :-1], self.starts, axis=-1) for counts in (self.total, windows))
        return stability(before, after)

    def statistic(self, rows: Rows, profile: Floats) -> float:
        return float(self._distance(profile, self.total)[0][0])

    def note(self, rows: Rows, profile: Floats) -> str:
        values = rows.values[self.name]
        found = float(values[np.isfinite(values)].mean()) if profile[0, :-1].any() else np.nan
        return f"mean {_plain(self.about.get('mean', np.nan))} → {_plain(found)}"

    def describe(self) -> dict[str, Any]:
        about = {"name": self.name, "kind": self.kind, "present": int(self.total[:-1].sum()), "edges": self.coder.cuts.tolist()}
        return about | self.about

    @staticmethod
    def _distance(windows: Floats, reference: Floats) -> tuple[Floats, Floats]:
        above, below = np.cumsum(windows[..., :-1], axis=-1), np.cumsum(reference[..., :-1], axis=-1)
        n, m = above[..., -1:], below[..., -1:]
        with np.errstate(all="ignore"):
            apart = above / n - below / m
            # of many windows this takes most of the time: in place, and the largest found as an integer, for floats that are not
            # negative are ordered as their bits are
            distance = np.abs(apart, out=apart).view(np.int64).max(axis=-1).view(np.float64)
            surprise = 2 * (n * m / (n + m))[..., 0] * distance**2 - np.log(2)
        return np.nan_to_num(distance), np.nan_to_num(surprise)


class Categorical:
    """Levels by the G-test; missing ones are left out."""

    def __init__(self, name: str, kind: Kind, coder: Levels, codes: Codes) -> None:
        self.name, self.kind, self.coder, self.codes = name, kind, coder, codes
        self.total = counted(codes[None], coder.width)[0]

    def profiles(self, positions: Positions) -> Floats:
        return counted(self.codes[positions], self.coder.width)

    def observed(self, rows: Rows, sets: int = 1) -> Floats:
        return counted(rows.codes[self.name].reshape(sets, -1), self.coder.width)

    def beside(self, rows: Rows) -> Self:
        found = copy(self)
        found.total = self.observed(rows)[0]
        return found

    def surprise(self, windows: Floats, reference: Floats) -> Floats:
        return g_test(*self._pooled(windows, reference))[1]

    def effect(self, windows: Floats) -> Floats:
        after, before = self._pooled(windows, self.total)
        return stability(before, after)

    def statistic(self, rows: Rows, profile: Floats) -> float:
        return float(g_test(*self._pooled(profile, self.total))[0][0] / max(profile[0, :-1].sum(), 1))

    def note(self, rows: Rows, profile: Floats) -> str:
        if not self.total[:-1].any() or not profile[0, :-1].any():
            return f"no value in the {'window' if self.total[:-1].any() else 'reference'}"
        before, after = (side / side.sum() for side in (self.total[:-1], profile[0, :-1]))
        change = np.abs(after - before)[:-1].round(9)
        moved = int(np.flatnonzero(change == change.max(initial=0))[-1])  # of two levels, which move alike, the rarer one
        note = f"'{self.coder.label(moved)}' {before[moved]:.1%} → {after[moved]:.1%}"
        new = self.coder.unknown(rows.values[self.name]) if after[-1] else []
        return f"{note}; new: {', '.join(repr(level) for level in new[:5])} ({after[-1]:.1%})" if new else note

    def describe(self) -> dict[str, Any]:
        levels = dict(zip(self.coder.levels.tolist(), self.total[:-2].astype(int).tolist(), strict=True))
        return {"name": self.name, "kind": self.kind, "present": int(self.total[:-1].sum()), "levels": levels}

    def _pooled(self, windows: Floats, reference: Floats) -> tuple[Floats, Floats]:
        """Counts with the levels that are rare in sets of these sizes, and any other, in one last place, if there are any."""
        rows = min(float(windows[0].sum()), float(np.atleast_2d(reference)[0].sum()))
        kept = int(np.sum(self.total[:-2] * rows >= EXPECTED * max(self.total[:-1].sum(), 1)))
        others = [side[..., kept:-1].sum(axis=-1, keepdims=True) for side in (windows, reference)]
        if kept and not any(side.any() for side in others):
            return windows[..., :kept], reference[..., :kept]
        first, second = (
            np.concatenate([side[..., :kept], other], axis=-1) for side, other in zip((windows, reference), others, strict=True)
        )
        return first, second


class Missing:
    """The share of missing values in a column by the G-test."""

    kind: Kind = "missing"

    def __init__(self, column: str, last: int, codes: Codes) -> None:
        """`last`: the code that stands for missing."""
        self.name, self.column, self.last = f"{column} (missing)", column, last
        self.gone = codes == last
        self.total = counted(self.gone[None], 2)[0]

    def profiles(self, positions: Positions) -> Floats:
        return _shares(self.gone[positions])

    def observed(self, rows: Rows, sets: int = 1) -> Floats:
        return _shares((rows.codes[self.column] == self.last).reshape(sets, -1))

    def beside(self, rows: Rows) -> Self:
        found = copy(self)
        found.total = self.observed(rows)[0]
        return found

    def surprise(self, windows: Floats, reference: Floats) -> Floats:
        return g_test(windows, reference)[1]

    def effect(self, windows: Floats) -> Floats:
        return stability(self.total, windows)

    def statistic(self, rows: Rows, profile: Floats) -> float:
        return float(g_test(profile, self.total)[0][0] / profile.sum())

    def note(self, rows: Rows, profile: Floats) -> str:
        before, after = (side[1] / side.sum() for side in (self.total, profile[0]))
        return f"{before:.1%} → {after:.1%}"

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "present": int(self.total[0]), "missing": int(self.total[1])}


def stability(reference: Floats, windows: Floats) -> Floats:
    """Population stability index between rows of counts, (…, bins), less its expectation without drift, and not below 0.

    Half a count is added to each bin, so that an empty one does not make it infinite.
    """
    used = (reference + windows) > 0
    p, q = (reference + 0.5) * used, (windows + 0.5) * used
    m, n = p.sum(axis=-1, keepdims=True), q.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(used, (q / n - p / m) * np.log((q / n) / (p / m)), 0.0)
        expected = np.maximum(used.sum(axis=-1) - 1, 0) * (1 / n + 1 / m)[..., 0]
    found: Floats = np.maximum(0.0, np.nan_to_num(terms.sum(axis=-1) - expected))
    return found


def g_test(window: Floats, rest: Floats) -> tuple[Floats, Floats]:
    """G and its surprise for pairs of rows of counts, (…, levels)."""
    deep = max(window.ndim, rest.ndim)
    # levels first: numpy adds up a few long rows many times faster than many short ones
    first, second = (np.ascontiguousarray(np.moveaxis(np.array(side, ndmin=deep, copy=None), -1, 0)) for side in (window, rest))
    both, n, m = first + second, first.sum(axis=0), second.sum(axis=0)
    apart = _entropy(first).sum(axis=0) + _entropy(second).sum(axis=0) - _entropy(both).sum(axis=0)
    g = np.maximum(2 * (apart + _entropy(n + m) - _entropy(n) - _entropy(m)), 0.0)
    if both.all():  # as nearly always
        return g, _tail(g / 2, max(len(both) - 1, 1))
    freedom, surprise = np.maximum((both > 0).sum(axis=0) - 1, 1), np.empty_like(g)
    for each in np.flatnonzero(np.bincount(freedom.ravel())).tolist():
        these = freedom == each
        surprise[these] = _tail(g[these] / 2, each)
    return g, surprise


def _entropy(counts: Floats) -> Floats:
    """x log x, and 0 at 0."""
    found: Floats = counts * np.log(np.maximum(counts, np.finfo(float).tiny))
    return found


def _tail(half: Floats, freedom: int) -> Floats:
    """Minus the logarithm of chi-square's tail at twice `half`.

    For a few degrees of freedom by its finite sum (Abramowitz and Stegun 26.4.4 and 26.4.5), which is exact however far out, in a
    tenth of the time of the incomplete gamma function.
    """
    from scipy.special import erfcx, gammaincc

    if freedom > SUMMED:
        p = gammaincc(freedom / 2, half)
        with np.errstate(divide="ignore"):
            return np.where(p > 1e-290, -np.log(p), half)
    odd = freedom % 2
    total, term = (erfcx(np.sqrt(half)), 2 * np.sqrt(half / np.pi)) if odd else (1.0, half)
    for place in range(1, (freedom + odd) // 2):
        total, term = total + term, term * half / (place + 1 - odd / 2)
    found: Floats = half - np.log(total)
    return found


def _shares(gone: NDArray[np.bool_]) -> Floats:
    missing = gone.sum(axis=1)
    return np.stack([gone.shape[1] - missing, missing], axis=1).astype(float)


def _plain(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
