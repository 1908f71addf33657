"""Break a good table on purpose, one rule at a time: the proof that each check of a schema can fail, and fails alone.

In a project's tests::

    def test_every_check_can_fail():
        assert not unproven(good_rows, SCHEMA)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.core.errors import ConfigError
from pipelines.core.validation import Check
from pipelines.parts.tabular.checks import judge_table
from pipelines.parts.tabular.parse import parse
from pipelines.parts.tabular.schema import Column, Schema

NEVER_SEEN = "never seen"


@dataclass(frozen=True)
class Mutation:
    """A table that breaks one rule."""

    name: str
    frame: pd.DataFrame


def unproven(good: pd.DataFrame, schema: Schema) -> list[str]:
    """What keeps a schema's checks from being proven, a sentence each: checks that no mutation breaks, and mutations that
    break none or several. Empty when every check can fail alone. Raises ConfigError when `good` is not good to begin with.
    """
    report = judge_table(good, schema).report
    if report.failed:
        raise ConfigError(f"these rows are no good example: {'; '.join(check.sentence() for check in report.failed)}")
    seen: set[tuple[str, str | None, str]] = set()
    faults = []
    for mutation in mutations(good, schema):
        failed = [_identity(check) for check in judge_table(mutation.frame, schema).report.failed]
        if len(failed) != 1:
            faults.append(f"{mutation.name}: expected one failing check, found {failed}")
        seen.update(failed[:1] if len(failed) == 1 else ())
    return faults + [f"no mutation breaks {_identity(check)}" for check in report.checks if _identity(check) not in seen]


def _identity(check: Check) -> tuple[str, str | None, str]:
    return check.tool, check.column, check.rule


def mutations(good: pd.DataFrame, schema: Schema) -> Iterator[Mutation]:
    """A broken copy of a good table for every check that the schema implies."""
    good = good.reset_index(drop=True).astype(object)
    for column in (schema[str(name)] for name in good.columns if name in schema):
        yield from _of_column(good, column, required=not column.nullable or column.name == schema.target)
        if column.name in schema.ids:
            yield Mutation(f"{column.name} occurs twice", _set(good, 1, {column.name: good[column.name].iloc[0]}))
        yield from _of_distribution(good, column, schema)
    for rule in schema.rules:
        if not rule.broken:
            raise ConfigError(f"rule {rule.name!r} says no values that break it; add Rule(broken={{column: value}})")
        yield Mutation(f"rule: {rule.name}", _set(good, 0, rule.broken))
    if schema.extra == "stop":
        yield Mutation("a column nobody declared", good.assign(**{NEVER_SEEN: 1}))
    if schema.target:
        yield from _of_target(good, schema[schema.target], schema)
    few = good[_complete(good)]
    yield Mutation("too few rows", few.iloc[np.linspace(0, len(few) - 1, schema.rows - 1).astype(int)])


def _of_column(good: pd.DataFrame, column: Column, required: bool) -> Iterator[Mutation]:
    name = column.name
    if not column.optional:
        yield Mutation(f"{name} is gone", good.drop(columns=name))
    yield Mutation(f"{name} is blank throughout", good.assign(**{name: ""}))
    if required:
        yield Mutation(f"one {name} is blank", _set(good, 0, {name: " "}))
    if column.kind in ("text", "category"):
        yield Mutation(f"one {name} is a list", _set(good, 0, {name: [1]}))
    else:
        yield Mutation(f"one {name} is text", _set(good, 0, {name: NEVER_SEEN}))
        yield Mutation(f"{name} is text throughout", good.assign(**{name: NEVER_SEEN}))
    if column.low is not None:
        yield Mutation(f"one {name} is too low", _set(good, 0, {name: column.low - 1}))
    if column.high is not None:
        yield Mutation(f"one {name} is too high", _set(good, 0, {name: column.high + 1}))
    if column.levels:
        yield Mutation(f"one {name} is a new category", _set(good, 0, {name: NEVER_SEEN}))


def _of_distribution(good: pd.DataFrame, column: Column, schema: Schema) -> Iterator[Mutation]:
    if column.mean:
        shifted = good[column.name].where(~_complete(good), _away_from_mean(column))
        yield Mutation(f"{column.name} has a mean out of bounds", good.assign(**{column.name: shifted}))
    if column.missing is not None:
        yield Mutation(f"{column.name} is missing too often", _mostly_missing(good, column, schema))


def _complete(good: pd.DataFrame) -> pd.Series[bool]:
    """Rows without a blank cell: what is done to them meets no rule about blanks."""
    return ~(good.isna() | good.map(lambda cell: isinstance(cell, str) and not cell.strip())).any(axis=1)


def _away_from_mean(column: Column) -> float:
    """A value that every row may have and whose mean is out of bounds."""
    assert column.mean is not None, "asked only of columns with bounds for the mean"
    low, high = column.mean
    if column.high is None or column.high > high:
        return high + 1 if column.high is None else column.high
    return low - 1 if column.low is None else column.low


def _mostly_missing(good: pd.DataFrame, column: Column, schema: Schema) -> pd.DataFrame:
    """More missing cells than allowed. Rows that lack the cell are repeated if there are any: they keep all row rules."""
    assert column.missing is not None, "asked only of columns with a largest share"
    blank = np.flatnonzero(parse(good, schema).frame[column.name].isna())
    wanted = int(len(good) * column.missing / (1 - column.missing)) + 1 if column.missing < 1 else 0
    if not len(blank):
        return _set(good, slice(0, min(2 * wanted, len(good) - 1)), {column.name: ""})
    more = good.iloc[np.resize(blank, wanted)].copy()
    for name in set(schema.ids) & set(good.columns):
        more[name] = [f"{NEVER_SEEN} {number}" for number in range(len(more))]
    return pd.concat([good, more], ignore_index=True)


def _of_target(good: pd.DataFrame, target: Column, schema: Schema) -> Iterator[Mutation]:
    first = target.levels[0] if target.levels else good[target.name].iloc[0]
    yield Mutation("the label is constant", good.assign(**{target.name: first}))
    if schema.balance:
        low, _ = schema.balance
        rest = good.assign(**{target.name: first if low > 0 else schema.positive})
        yield Mutation("the label is out of balance", _set(rest, 0, {target.name: schema.positive if low > 0 else first}))


def _set(good: pd.DataFrame, rows: Any, values: Any) -> pd.DataFrame:
    """A copy with these values in one row (by position) or in a slice of rows."""
    frame = good.copy()
    for name, value in values.items():
        cells = frame[name].tolist()
        places = range(*rows.indices(len(cells))) if isinstance(rows, slice) else [rows]
        for place in places:
            cells[place] = value
        frame[name] = pd.Series(cells, index=frame.index, dtype=object)
    return frame
