"""Three disjoint sets of rows: stratified, seeded, and with rows that belong together kept together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.core.config import Split
from pipelines.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[np.intp]


_SPREAD = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio: makes neighbouring seeds differ in many bits (Knuth, TAOCP 3, 6.4)."""


def three_way(units: NDArray[Any], strata: NDArray[Any], shares: Split, seed: int) -> tuple[Positions, Positions, Positions]:
    """Positions of train, valid and test rows, each in ascending order; see `assign`."""
    return _positions(assign(units, strata, {"test": shares.test, "valid": shares.valid}, seed))


def assign(units: NDArray[Any], strata: NDArray[Any], shares: Mapping[str, float], seed: int) -> NDArray[np.str_]:
    """The part each row belongs to: one of `shares`, which names parts and their shares of the rows, or `train`.

    `units` says which rows stay together (one label a row), `strata` which share is kept equal in all parts (one label
    a row; the first row of a unit decides). Within a stratum, units are ordered by a hash of seed and label and cut by rows.
    So where a row goes depends on its content, not on its place in the file, and as data arrive over time hardly a row
    changes sides: a champion's training rows stay out of its challenger's test.
    """
    table = (
        pd.DataFrame({"unit": units, "stratum": strata})
        .groupby("unit", sort=False, as_index=False)
        .agg(stratum=("stratum", "first"), rows=("stratum", "size"))
    )
    labels = pd.util.hash_array(table["unit"].to_numpy())
    table["order"] = pd.util.hash_array(labels ^ np.uint64(seed * _SPREAD % 2**64))
    table = table.sort_values(["stratum", "order"], kind="stable")
    grouped = table.groupby("stratum", sort=False)["rows"]
    middle = (grouped.cumsum() - table["rows"] / 2) / grouped.transform("sum")
    ends = np.cumsum(list(shares.values()))
    table["part"] = np.select([middle <= end for end in ends], list(shares), "train")
    found: NDArray[np.str_] = pd.Series(units).map(table.set_index("unit")["part"]).to_numpy(dtype=str)
    return found


def by_time(times: NDArray[Any], shares: Split) -> tuple[Positions, Positions, Positions]:
    """The earliest rows train, later ones validate, the latest test; rows of one instant stay together.

    Raises DataError for rows without a time, which belong nowhere.
    """
    if missing := int(pd.isna(times).sum()):
        raise DataError(
            f"{missing:,} of {len(times):,} rows have no time, by which they are split; drop them in validation (nullable=False)"
        )
    ranks = pd.Series(times).rank(method="min", pct=False).to_numpy() - 1
    share = ranks / max(len(times), 1)
    first_test, first_valid = 1 - shares.test, 1 - shares.test - shares.valid
    return _positions(np.select([share >= first_test, share >= first_valid], ["test", "valid"], "train"))


def _positions(parts: NDArray[Any]) -> tuple[Positions, Positions, Positions]:
    train, valid, test = (np.flatnonzero(parts == part) for part in ("train", "valid", "test"))
    for name, rows in (("train", train), ("valid", valid), ("test", test)):
        if not len(rows):
            raise DataError(f"{len(parts):,} rows are too few to split: none is left for {name}; give more data or other shares")
    return train, valid, test
