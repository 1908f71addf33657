"""Streams with and without drift, and the usual rules on the same windows: a KS test per column, PSI, Evidently's default.

Evidently costs a second a window. Its rules are also computed here in numpy, so that they can stand beside ours on every
window; how often these agree with the real thing is part of the table (`evidently`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.parts.drift import Reference
from pipelines.parts.drift.coding import Rows

Arrays = dict[str, NDArray[Any]]
NUMBERS, LEVELS = 27, ["a", "b", "c", "d", "e"]
SHARES, SWAPPED = [0.5, 0.3, 0.15, 0.04, 0.01], [0.3, 0.5, 0.15, 0.04, 0.01]
REFERENCE_ROWS = 5_000
WORLDS = {"independent": 0.0, "correlated": 0.5}
"""Correlation of the numbers."""
SEASON = 0.3
"""Standard deviations by which three columns swing over a year of 52 weeks."""
STEP, LARGEST, GONE = 256, 2_046, 2_047
"""Numbers are whole multiples of 1 / `STEP` standard deviations between -`LARGEST` and `LARGEST` such steps, or missing."""


@dataclass(frozen=True)
class Drawn:
    """Rows of 30 columns: 27 numbers in steps, shape (27, rows), and 3 categories as places in `LEVELS`, (3, rows)."""

    numbers: NDArray[np.int16]
    levels: NDArray[np.uint8]

    @property
    def arrays(self) -> Arrays:
        """Columns as a project would have them."""
        found: Arrays = {f"x{i}": np.where(steps == GONE, np.nan, steps / STEP) for i, steps in enumerate(self.numbers)}
        return found | {f"c{i}": np.array(LEVELS)[places] for i, places in enumerate(self.levels)}

    def first(self, rows: int) -> Drawn:
        """So many of them."""
        return Drawn(self.numbers[:, :rows], self.levels[:, :rows])

    def take(self, positions: NDArray[np.intp]) -> Drawn:
        """These of them, in this order."""
        return Drawn(self.numbers[:, positions], self.levels[:, positions])


def rows(random: np.random.Generator, count: int, correlation: float = 0.0, **change: Any) -> Drawn:
    """27 numbers of equal correlation, the last with 2 % missing, and 3 categories.

    Changes: `shift` standard deviations in the first `columns`, `pair` correlation among the first `columns`, `swap` of two
    categories, `burst` of missing values, `week` of each row for seasonality.
    """
    columns = change.get("columns", 3)
    x = random.standard_normal((NUMBERS, count), dtype=np.float32)
    for among, strength in ((NUMBERS, correlation), (columns, change.get("pair", 0.0))):
        if strength:
            common = np.float32(np.sqrt(strength)) * random.standard_normal(count, dtype=np.float32)
            x[:among] = np.float32(np.sqrt(1 - strength)) * x[:among] + common
    x[:columns] += np.float32(change.get("shift", 0.0))
    if "week" in change:
        x[:3] += (SEASON * np.sin(2 * np.pi * np.asarray(change["week"]) / 52)).astype(np.float32)
    numbers = np.clip(np.rint(STEP * x), -LARGEST, LARGEST).astype(np.int16)
    numbers[-1, random.random(count) < 0.02 + change.get("burst", 0.0)] = GONE
    hundredths = [np.repeat(np.arange(5), np.rint(100 * np.array(shares)).astype(int)) for shares in (SHARES, SWAPPED)]
    drawn = random.integers(100, size=(3, count), dtype=np.uint8)
    levels = np.stack([hundredths[bool(change.get("swap")) and i == 0][one] for i, one in enumerate(drawn)])
    return Drawn(numbers, levels.astype(np.uint8))


class Coded:
    """A reference that has been asked once what it makes of each possible value, so that windows are coded by looking up."""

    def __init__(self, reference: Reference) -> None:
        steps = np.arange(-LARGEST - 2, GONE + 1)
        numbers = np.where(steps == GONE, np.nan, steps / STEP)
        values = {name: np.array(LEVELS) if name.startswith("c") else numbers for name in reference.coders}
        self.reference, self.tables = reference, {name: coder(values[name]) for name, coder in reference.coders.items()}

    def rows(self, drawn: Drawn) -> Rows:
        """The codes of rows, all that channels count."""
        found = {f"x{i}": self.tables[f"x{i}"][steps + (LARGEST + 2)] for i, steps in enumerate(drawn.numbers)}
        return Rows({}, found | {f"c{i}": self.tables[f"c{i}"][places] for i, places in enumerate(drawn.levels)})


RULES = ("KS, p ≤ 0.05", "KS, Bonferroni 5 %", "PSI > 0.1", "PSI > 0.2", "Evidently, any column", "Evidently, half of columns")


def usual(reference: Arrays, windows: Arrays, sets: int) -> dict[str, NDArray[np.bool_]]:
    """Which of `sets` equal windows, one after another, each of `RULES` calls drifted."""
    p_values, indices, flags = [], [], []
    for name, before in reference.items():
        after = windows[name].reshape(sets, -1)
        columns = _text if before.dtype.kind == "U" else _number
        p, index, flag = columns(before, after)
        p_values.append(p)
        indices.append(index)
        flags.append(flag)
    p, index, flag = np.array(p_values), np.array(indices), np.array(flags)
    answers = (p <= 0.05, p <= 0.05 / len(p), index > 0.1, index > 0.2, flag)
    found: dict[str, NDArray[np.bool_]] = {rule: np.any(answer, axis=0) for rule, answer in zip(RULES, answers, strict=False)}
    return found | {RULES[-1]: flag.mean(axis=0) >= 0.5}


def _number(before: NDArray[Any], after: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    old, new = np.sort(before[np.isfinite(before)]), np.sort(after, axis=1)
    present = np.sum(np.isfinite(new), axis=1)
    p, apart = np.ones(len(new)), np.zeros(len(new))
    for place, (row, n) in enumerate(zip(new, present, strict=True)):
        below = np.searchsorted(old, row[:n]) / old.size
        steps = np.arange(n) / n
        distance = max(np.max(below - steps), np.max(steps + 1 / n - below))
        p[place] = 2 * np.exp(-2 * n * old.size / (n + old.size) * distance**2)
        size = max(n, old.size)
        places = (np.arange(size) + 0.5) / size
        apart[place] = np.mean(np.abs(row[(places * n).astype(int)] - old[(places * old.size).astype(int)]))
    edges = np.quantile(old, np.arange(1, 10) / 10)
    bins = np.searchsorted(edges, after)
    bins[~np.isfinite(after)] = 10
    counts = np.stack([np.sum(bins == place, axis=1) for place in range(10)], axis=1)
    return p, _index(np.full(10, old.size / 10), counts), apart / before[np.isfinite(before)].std() >= 0.1


def _text(before: NDArray[Any], after: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    from scipy.spatial.distance import jensenshannon
    from scipy.special import gammaincc

    old = np.array([np.sum(before == level) for level in LEVELS])
    counts = np.stack([np.sum(after == level, axis=1) for level in LEVELS], axis=1)
    n, m = counts.sum(axis=1, keepdims=True), old.sum()
    pooled = (counts + old) / (n + m)
    with np.errstate(all="ignore"):
        chi = np.nansum((counts - n * pooled) ** 2 / (n * pooled) + (old - m * pooled) ** 2 / (m * pooled), axis=1)
    return gammaincc((old.size - 1) / 2, chi / 2), _index(old, counts), jensenshannon(old[:, None], counts.T) >= 0.1


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
