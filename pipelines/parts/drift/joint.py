"""All columns together: a classifier that tells the window's rows from the reference's, in closed form.

Each row becomes a vector u: numbers as normal scores, frequent levels and missing values as indicators, all standardised and
decorrelated as the reference is (ridge). The classifier is the linear discriminant on u and all its pairwise products, which
is the kernel k(u, v) = u·v + (u·v)²/2. How far the two sides' mean scores lie apart, each row left out of its own classifier,
is T = nm/(n+m) · |difference of the means of u and its products|² less its expectation (also known as the maximum mean
discrepancy, Gretton et al. 2012). Means that move and correlations that change both show, a correlation that no single
column knows of included.

T of windows without drift is a weighted sum of chi-squares; its mean and variance come from the kernel matrix of reference
rows, and a gamma distribution with these gives the surprise. Scaling and decorrelation are learnt on rows of the reference
that no drawn window contains, for on the rows it was learnt on any classifier looks better than it is.

Cost: beyond `WIDTH` standardised columns, `WIDTH` random directions stand for all; a change in few of p columns then keeps
about (WIDTH / p)² of its strength.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any, Self

import numpy as np

from pipelines.parts.drift.channels import Kind
from pipelines.parts.drift.coding import Coder, Codes, Floats, Positions, Quantiles, Rows

WIDTH = 48
"""Dimensions of u at most; also at most a tenth of the rows it is learnt on."""
RIDGE = 0.05
FREQUENT = 0.05
"""Share from which, and up to one minus which, a level or missing value takes part."""
CHUNK = 50_000
SHOWN = 1_000
"""Rows of either side for the area under the curve, the kernel matrix, and the pair that is named."""


class Joint:
    """The domain classifier as a channel; see the module."""

    name = "all columns together"
    kind: Kind = "joint"

    def __init__(self, coders: Mapping[str, Coder], codes: Mapping[str, Codes], learnt: Positions, pool: Positions) -> None:
        """`learnt`: positions of the rows that scaling is learnt on; `pool`: of those that windows are compared with."""
        self.encoders = [e for name in sorted(coders) if learnt.size for e in encoders(name, coders[name], codes[name][learnt])]
        self.width = min(WIDTH, len(self.encoders), learnt.size // 10)
        if not self.width:
            self.total = np.zeros(1)
            return
        self.rotation = _decorrelation(self._encoded(codes, learnt), self.width)
        self.vectors = np.zeros((len(next(iter(codes.values()))), self.width))
        self.vectors[pool] = self._encoded(codes, pool) @ self.rotation
        self.total = self._profiles(self.vectors[pool][None])[0]
        some = pool[np.linspace(0, pool.size - 1, min(pool.size, SHOWN)).astype(int)]
        self.shown, self.raw = self.vectors[some], self._encoded(codes, some)
        self.mean, self.variance = _moments(kernel(self.shown, self.shown))

    def profiles(self, positions: Positions) -> Floats:
        """Of rows within the pool."""
        parts = np.array_split(positions, -(-positions.size // CHUNK))
        return np.concatenate([self._profiles(self.vectors.take(part, axis=0)) for part in parts])

    def surprise(self, windows: Floats, reference: Floats) -> Floats:
        from scipy.special import gammaincc, gammaln

        shape, scale = self.mean**2 / self.variance, self.variance / self.mean
        t = self._distance(windows, reference)[0] / scale
        p = gammaincc(shape, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            far = t - (shape - 1) * np.log(t) + gammaln(shape)
            found: Floats = np.where(p > 1e-290, -np.log(p), far)
        return found

    def observed(self, rows: Rows, sets: int = 1) -> Floats:
        count = len(next(iter(rows.codes.values()))) // sets
        found = np.zeros((sets, self.total.size))
        for place in range(sets):
            for start in range(place * count, (place + 1) * count, CHUNK):
                part = slice(start, min(start + CHUNK, (place + 1) * count))
                found[place] += self._profiles((self._encoded(rows.codes, part) @ self.rotation)[None])[0]
        return found

    def beside(self, rows: Rows) -> Self:
        """Rows of the pool: scaling stays as it was learnt on the others, and so does what T is without drift."""
        found = copy(self)
        found.total, found.raw = self.observed(rows)[0], self._some(rows)
        found.shown = found.raw @ self.rotation
        return found

    def effect(self, windows: Floats) -> Floats:
        t, effective = self._distance(windows, self.total)
        return np.maximum(0.0, (t - self.mean) / effective)

    def statistic(self, rows: Rows, profile: Floats) -> float:
        return area_under_curve(self._some(rows) @ self.rotation, self.shown)

    def note(self, rows: Rows, profile: Floats) -> str:
        return self._pair(self._some(rows))

    def _some(self, rows: Rows) -> Floats:
        count = len(next(iter(rows.codes.values())))
        return self._encoded(rows.codes, np.linspace(0, count - 1, min(count, SHOWN)).astype(int))

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "present": int(self.total[0]), "dimensions": self.width}

    def _encoded(self, codes: Mapping[str, Codes], part: Positions | slice) -> Floats:
        return np.stack([encoder.table[codes[encoder.column][part]] for encoder in self.encoders]).T

    def _profiles(self, u: Floats) -> Floats:
        """Rows, sums, and sums of products of sets of rows, (sets, rows, width); shape (sets, 1 + width + width (width + 1) / 2)."""
        i, j = np.triu_indices(self.width)
        products = (u.transpose(0, 2, 1) @ u)[:, i, j]
        products[:, i == j] /= np.sqrt(2)
        return np.concatenate([np.full((len(u), 1), float(u.shape[1])), np.ones(u.shape[1]) @ u, products], axis=1)

    @staticmethod
    def _distance(windows: Floats, reference: Floats) -> tuple[Floats, Floats]:
        """T and nm/(n+m) of each window."""
        n, m = windows[..., :1], reference[..., :1]
        effective = (n * m / (n + m))[..., 0]
        after, before = windows[..., 1:] / n, reference[..., 1:] / m
        if reference.ndim > windows.ndim:  # all pairs, by inner products: their differences would be a thousand times the rows
            lengths = np.sum(after**2, axis=-1) + np.sum(before**2, axis=-1)
            return effective * np.maximum(lengths - 2 * (before @ after.T)[:, 0], 0.0), effective
        apart = after - before
        return effective * np.einsum("...i,...i->...", apart, apart), effective

    def _pair(self, raw: Floats) -> str:
        """The two columns whose correlation changed most, in words."""
        with np.errstate(all="ignore"):
            before, after = (np.nan_to_num(np.corrcoef(side, rowvar=False)) for side in (self.raw, raw))
        change = np.abs(np.triu(np.atleast_2d(after - before), 1))
        i, j = np.unravel_index(int(np.argmax(change)), change.shape)
        one, other = self.encoders[i].label, self.encoders[j].label
        return f"correlation of {one} and {other} {np.atleast_2d(before)[i, j]:.2f} → {np.atleast_2d(after)[i, j]:.2f}"


class Encoder:
    """One standardised column of u before decorrelation: a value for each code, mean 0 and variance 1 where it is learnt."""

    def __init__(self, column: str, label: str, values: Floats, counts: Floats) -> None:
        """`values` for each code, NaN for those that stand at the mean; `counts` of the codes."""
        self.column, self.label = column, label
        weights = np.where(np.isfinite(values), counts, 0.0) / counts[np.isfinite(values)].sum()
        centred = np.nan_to_num(values - np.sum(weights * np.nan_to_num(values)))
        self.table = centred / np.sqrt(np.sum(weights * centred**2))


def encoders(name: str, coder: Coder, codes: Codes) -> Iterator[Encoder]:
    """Encoders of one column that vary on these rows. A text's most frequent level follows from the others."""
    from scipy.special import ndtri

    counts = np.bincount(codes, minlength=coder.width).astype(float)
    frequent = (counts >= FREQUENT * codes.size) & (counts <= (1 - FREQUENT) * codes.size)
    marked = np.flatnonzero(frequent)
    if isinstance(coder, Quantiles):
        present = counts[:-1]
        if np.count_nonzero(present) > 1:
            middle = (np.cumsum(present) - present / 2) / present.sum()
            scores = ndtri(np.clip(middle, 0.5 / coder.width, 1 - 0.5 / coder.width))
            yield Encoder(name, name, np.append(scores, np.nan), counts)
        marked = marked[marked == coder.width - 1]
    else:
        marked = marked[marked != counts.argmax()]
    for code in marked.tolist():
        yield Encoder(name, f"{name}={coder.label(code)}", np.eye(coder.width)[code], counts)


def kernel(u: Floats, v: Floats) -> Floats:
    """Inner products of rows with all their pairwise products, shape (rows of u, rows of v)."""
    inner = u @ v.T
    found: Floats = inner + inner**2 / 2
    return found


def area_under_curve(window: Floats, reference: Floats) -> float:
    """Area under the ROC curve of the discriminant on rows it has not seen: two folds, each judged by what the other taught."""
    window, reference = (side[np.lexsort(side.T)] for side in (window, reference))  # folds do not depend on the rows' order
    areas = []
    for fold in (0, 1):
        taught, against = window[fold::2], reference[fold::2]
        above, below = (
            kernel(held, taught).mean(axis=1) - kernel(held, against).mean(axis=1)
            for held in (window[1 - fold :: 2], reference[1 - fold :: 2])
        )
        places = [np.searchsorted(np.sort(below), above, side=side) for side in ("left", "right")]
        areas.append(np.mean(places) / below.size)
    return float(np.mean(areas))


def _decorrelation(raw: Floats, width: int) -> Floats:
    """Linear map, (columns, width), after which the rows' covariance is about the identity."""
    columns = raw.shape[1]
    projection = np.eye(columns)
    if width < columns:
        projection = np.linalg.qr(np.random.default_rng(columns).normal(size=(columns, width)))[0]
    shown = raw @ projection
    values, directions = np.linalg.eigh(shown.T @ shown / len(shown))
    found: Floats = projection @ (directions / np.sqrt(np.maximum(values, 0) + RIDGE))
    return found


def _moments(found: Floats) -> tuple[float, float]:
    """Mean and variance of T without drift, from a kernel matrix of reference rows: the trace of the products' covariance, and
    twice that of its square.
    """
    rows = len(found)
    centred = found - found.mean(axis=0) - found.mean(axis=1, keepdims=True) + found.mean()
    mean = float(np.trace(centred)) / (rows - 1)
    apart = float(np.sum(centred**2) - np.sum(centred.diagonal() ** 2)) / (rows * (rows - 1))
    return mean, max(2 * apart, 1e-12)
