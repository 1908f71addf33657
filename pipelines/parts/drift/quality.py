"""Whether a window's data are sound: plain thresholds, each finding a criterion with what was wanted and found.

Broken data are no drift: a model retrained on them learns the breakage. So these findings are told apart, and come first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.config import Quality
from pipelines.core.evidence import Channel, Criterion
from pipelines.parts.drift.coding import MISSING
from pipelines.parts.drift.family import Channels, kind_of

CHANCE = 4.0
"""Deviations of a Poisson count that a number of rows may differ by."""
DAY = 86_400


def volume(rows: int, usual: float | None, asked: Quality) -> Criterion:
    """Whether a window has about the usual number of rows; where there was no window before, it has.

    >>> volume(90, 270.0, Quality()).found
    '90 rows, 33% of the usual 270'
    """
    if not usual:
        return Criterion(name="volume", wanted="any: no window came before", found=f"{rows:,} rows", passed=True)
    chance = CHANCE * math.sqrt(usual)
    low, high = min(usual * asked.volume, usual - chance), max(usual / asked.volume, usual + chance)
    return Criterion(
        name="volume",
        wanted=f"{max(math.ceil(low), 0):,} to {math.floor(high):,} rows",
        found=f"{rows:,} rows, {rows / usual:.0%} of the usual {usual:,.0f}",
        passed=low <= rows <= high,
    )


def freshness(newest: datetime, end: datetime, asked: Quality) -> Criterion:
    """Whether the newest row is young at the window's end."""
    days = (end - newest).total_seconds() / DAY
    return Criterion(
        name="freshness",
        wanted=f"at most {asked.stale_days:g} days old",
        found=f"the newest row is {days:.1f} days old",
        passed=days <= asked.stale_days,
    )


def new_values(reference: Channels, window: Channels, asked: Quality) -> list[Criterion]:
    """One criterion for each categorical column with values that the reference does not know."""
    found = []
    for name in (name for name, values in reference.items() if kind_of(name, values) == "categorical"):
        levels, counts = np.unique(window[name], return_counts=True)
        new = ~np.isin(levels, [*np.unique(reference[name]), *MISSING])
        if not new.any():
            continue
        share = float(counts[new].sum() / counts.sum())
        examples = ", ".join(repr(str(level)) for level in levels[new][np.argsort(-counts[new], kind="stable")][:5])
        found.append(
            Criterion(
                name=f"new values: {name}",
                wanted=f"at most {asked.new_values:.1%} of rows",
                found=f"{share:.1%}: {examples}" + (f" and {new.sum() - 5} more" if new.sum() > 5 else ""),
                passed=share <= asked.new_values,
            )
        )
    return found


def missing_values(channels: Iterable[Channel], reference: Channels, window: Channels) -> list[Criterion]:
    """One criterion for each missing rate that has risen beyond chance, which is what its channel says."""
    found = []
    for channel in channels:
        if channel.kind != "missing" or not channel.drifted:
            continue
        column = channel.name.removesuffix(" (missing)")
        before, after = (float(np.mean(presence(side[column]) == "missing")) for side in (reference, window))
        if after > before:
            found.append(
                Criterion(
                    name=f"missing values: {column}",
                    wanted=f"about {before:.1%} of rows, as in the reference",
                    found=f"{after:.1%}",
                    passed=False,
                )
            )
    return found


def presence(values: NDArray[Any]) -> NDArray[np.str_]:
    """`missing` or `present` for each value, shape (rows,)."""
    gone = np.isin(values, MISSING) if values.dtype.kind in "US" else ~np.isfinite(values)
    return np.where(gone, "missing", "present")
