"""Streams of windows with and without drift: what is drawn, and the codes that our channels count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.parts.drift import Reference
from pipelines.parts.drift.coding import Rows

Arrays = dict[str, NDArray[Any]]
NUMBERS, CATEGORIES, LEVELS = 27, 3, ["a", "b", "c", "d", "e"]
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
    drawn = random.integers(100, size=(CATEGORIES, count), dtype=np.uint8)
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
