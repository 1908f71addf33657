"""Columns as small integers: the quantile slot of a number, the level of a text. All channels look at these codes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int16]
Positions = NDArray[np.intp]

MISSING = ("", "(missing)")
"""Texts that stand for a missing value; among numbers NaN does."""
CUTS = 128
"""Quantiles between which numbers are counted; a value that is itself such a quantile has a slot of its own."""
LEVELS = 1000
"""Most frequent levels that are told apart."""


class Coder(Protocol):
    """Turns the values of one column into codes below `width`; the last one stands for missing."""

    width: int

    def __call__(self, values: NDArray[Any]) -> Codes:
        """Codes of values, shape (rows,)."""

    def label(self, code: int) -> str:
        """What a code stands for, for people."""


class Quantiles:
    """Slots of numbers: below, on and between the cuts, above them."""

    def __init__(self, values: Floats) -> None:
        present = values[np.isfinite(values)]
        levels = np.arange(1, CUTS) / CUTS
        self.cuts = np.unique(np.quantile(present, levels, method="inverted_cdf")) if present.size else np.empty(0)
        self.width = 2 * self.cuts.size + 2

    def __call__(self, values: Floats) -> Codes:
        place = np.searchsorted(self.cuts, values)
        on = np.append(self.cuts, np.nan)[place] == values
        return np.where(np.isfinite(values), 2 * place + on, self.width - 1).astype(np.int16)

    def label(self, code: int) -> str:
        return "missing" if code == self.width - 1 else f"slot {code}"


class Levels:
    """Texts: the levels from the most frequent on, then any other."""

    def __init__(self, values: NDArray[np.str_]) -> None:
        found, inverse = distinct(values)
        counts = np.bincount(inverse, minlength=found.size)
        kept = ~np.isin(found, MISSING)
        order = np.lexsort((found[kept], -counts[kept]))[:LEVELS]
        self.levels = found[kept][order]
        self.width = self.levels.size + 2

    def __call__(self, values: NDArray[np.str_]) -> Codes:
        place = {level: code for code, level in enumerate(self.levels.tolist())} | dict.fromkeys(MISSING, self.width - 1)
        levels, inverse = distinct(values)
        return np.array([place.get(level, self.width - 2) for level in levels.tolist()], dtype=np.int16)[inverse]

    def label(self, code: int) -> str:
        return str((*self.levels.tolist(), "any other", "missing")[code])

    def unknown(self, values: NDArray[np.str_]) -> list[str]:
        """Levels of a window that the reference does not have; none where the reference's are too many to keep."""
        known = {*self.levels.tolist(), *MISSING}
        return [] if self.levels.size == LEVELS else sorted(set(distinct(values)[0].tolist()) - known)


@dataclass(frozen=True)
class Rows:
    """Rows of a window: its columns, and the same as codes."""

    values: Mapping[str, NDArray[Any]]
    codes: Mapping[str, Codes]

    @classmethod
    def of(cls, values: Mapping[str, NDArray[Any]], coders: Mapping[str, Coder]) -> Rows:
        return cls(values, {name: coder(values[name]) for name, coder in coders.items()})


def counted(codes: NDArray[Any], width: int) -> Floats:
    """How often each code occurs in each row of codes, shape (rows, width)."""
    offsets = np.arange(len(codes), dtype=np.int32)[:, None] * np.int32(width)
    return np.bincount((codes + offsets).ravel(), minlength=len(codes) * width).reshape(-1, width).astype(float)


def distinct(values: NDArray[Any]) -> tuple[NDArray[np.str_], NDArray[np.intp]]:
    """The distinct texts of a column and which of them each row has. By hashing: sorting a million texts takes seconds."""
    import pandas as pd

    codes, levels = pd.factorize(values.astype(object))
    return np.asarray(levels, dtype=str), codes
