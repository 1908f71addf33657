"""The usual rules beside one reference: a KS test per column, PSI, and Evidently's default preset.

Evidently costs a second a window. Its rules are also computed here, so that they can stand beside ours on every window; how
often these agree with the real thing is part of the table (`evidently`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.special import gammaincc
from scipy.stats import kstwo

from bench.drift_world import CATEGORIES, LARGEST, LEVELS, NUMBERS, STEP, Arrays, Drawn

RULES = ("KS, p ≤ 0.05", "KS, Bonferroni 5 %", "PSI > 0.1", "PSI > 0.2", "Evidently, any column", "Evidently, half of columns")
P_VALUES, INDICES = np.array([0.05, 0.05 / (NUMBERS + CATEGORIES)]), np.array([0.1, 0.2])
"""Where the tests, and where the index, call a column drifted."""
VALUES = 2 * LARGEST + 1
"""Different numbers there are."""
FAR = 0.1
"""From here on Evidently calls a column drifted, by either of its distances for references of more than 1,000 rows."""
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """How often windows have each value: (27, windows, `VALUES`) and (3, windows, 5). Those of larger windows are sums."""

    numbers: NDArray[np.int16]
    levels: NDArray[np.int16]

    @classmethod
    def of(cls, drawn: Drawn, sets: int) -> Counts:
        """Of equal windows one after another; what is missing counts for nothing."""
        numbers = [_counts(steps.astype(np.intp) + LARGEST, sets, VALUES + 1)[:, :VALUES] for steps in drawn.numbers]
        return cls(np.stack(numbers), np.stack([_counts(places, sets, len(LEVELS)) for places in drawn.levels]))

    def take(self, windows: NDArray[np.intp]) -> Counts:
        """Of these windows."""
        return Counts(self.numbers[:, windows], self.levels[:, windows])

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.numbers + other.numbers, self.levels + other.levels)


def _counts(places: NDArray[Any], sets: int, values: int) -> NDArray[np.int16]:
    windows = places.reshape(sets, -1) + values * np.arange(sets)[:, None]
    return np.bincount(windows.ravel(), minlength=sets * values).reshape(sets, values).astype(np.int16)


class Usual:
    """A reference as the usual rules see it."""

    def __init__(self, reference: Drawn) -> None:
        counted = Counts.of(reference, 1)
        self.numbers = [_Numbers(each) for each in counted.numbers[:, 0]]
        self.levels = counted.levels[:, 0]

    def __call__(self, windows: Counts) -> dict[str, Flags]:
        """Which windows each of `RULES` calls drifted."""
        drifted = self.columns(windows)
        return dict(zip(RULES, [*drifted.any(axis=0), drifted[:, -1].mean(axis=0) >= 0.5], strict=True))

    def columns(self, windows: Counts) -> Flags:
        """Which columns the first five of `RULES` call drifted, (30, 5, windows)."""
        found = [before(after) for before, after in zip(self.numbers, windows.numbers, strict=True)]
        return np.stack(found + [_levels(before, after) for before, after in zip(self.levels, windows.levels, strict=True)])


class _Numbers:
    """One column of numbers. All rules follow from how many rows are at or below each value."""

    def __init__(self, counts: NDArray[np.int16]) -> None:
        below, values = counts.cumsum(dtype=np.int32), np.arange(VALUES) / STEP
        self.rows = int(below[-1])
        self.shares = (below / self.rows).astype(np.float32)
        self.edges = np.searchsorted(below, self.rows * np.arange(1, 10) / 10)
        self.bins = _between(below[self.edges], below[-1])
        mean = counts @ values / self.rows
        self.deviation = float(np.sqrt(counts @ (values - mean) ** 2 / self.rows))

    def __call__(self, counts: NDArray[np.int16]) -> Flags:
        """By the first five of `RULES`, (5, windows)."""
        below = counts.cumsum(axis=1, dtype=np.int32)
        rows = below[:, -1]
        gap = below.astype(np.float32)
        gap /= rows.astype(np.float32)[:, None]
        gap -= self.shares
        np.abs(gap, out=gap)
        far = np.stack([_too_far(round(n * self.rows / (n + self.rows))) for n in rows.tolist()], axis=1)
        wasserstein = gap.sum(axis=1) / STEP
        index = _index(self.bins, _between(below[:, self.edges], rows))
        return np.stack([*(gap.max(axis=1) >= far), *(index > INDICES[:, None]), wasserstein / self.deviation >= FAR])


@cache
def _too_far(rows: int) -> NDArray[np.float64]:
    """Distances with `P_VALUES`, of two samples that are worth one of so many rows, as in scipy's `ks_2samp`."""
    found: NDArray[np.float64] = kstwo.isf(P_VALUES, rows)
    return found


def _between(below: NDArray[np.int32], rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rows in each of ten bins, from those at or below each of the nine edges and all."""
    return np.diff(below, axis=-1, prepend=0, append=rows[..., None])


def _levels(old: NDArray[np.int16], counts: NDArray[np.int16]) -> Flags:
    """By the first five of `RULES`, (5, windows): the tests are chi-square's."""
    n, m = counts.sum(axis=1, keepdims=True), old.sum()
    pooled = (counts + old) / (n + m)
    with np.errstate(all="ignore"):
        chi = np.nansum((counts - n * pooled) ** 2 / (n * pooled) + (old - m * pooled) ** 2 / (m * pooled), axis=1)
    p, apart = gammaincc((old.size - 1) / 2, chi / 2), jensenshannon(old[:, None], counts.T)
    return np.stack([*(p <= P_VALUES[:, None]), *(_index(old, counts) > INDICES[:, None]), apart >= FAR])


def _index(old: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
    """The plain index, with the customary 0.0001 for an empty bin."""
    p, q = old / old.sum(), np.maximum(counts / counts.sum(axis=1, keepdims=True), 1e-4)
    found: NDArray[np.float64] = np.sum((q - p) * np.log(q / p), axis=1)
    return found


def evidently(reference: Arrays, window: Arrays) -> tuple[bool, bool]:
    """Evidently's default preset itself: any column drifted; half of them, its verdict on the data set."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    text = [name for name in reference if reference[name].dtype.kind == "U"]
    kinds = DataDefinition(numerical_columns=[name for name in reference if name not in text], categorical_columns=text)
    new, old = (Dataset.from_pandas(pd.DataFrame(side), kinds) for side in (window, reference))
    counted = Report([DataDriftPreset()]).run(new, old).dict()["metrics"][0]["value"]
    return counted["count"] > 0, counted["share"] >= 0.5
