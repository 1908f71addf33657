"""The schema as a Pandera schema: what is judged column by column and row by row, all failures at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from pipelines.core.validation import Check
from pipelines.parts.tabular.parse import EXPECTED, WHOLE, Parsed
from pipelines.parts.tabular.schema import Column, Schema

if TYPE_CHECKING:
    Series = pd.Series[Any]

TOOL = "pandera"
SHOWN = 5
"""Examples kept of each broken rule."""


@dataclass(frozen=True)
class Spec:
    """One check before it is carried out."""

    column: str | None
    """None for a rule over several columns."""
    rule: str
    level: Literal["table", "row"]
    holds: Callable[[Any], Any]
    """Column (or table) to one truth, or to one a row."""
    columns: tuple[str, ...]
    """What it looks at."""


@dataclass(frozen=True)
class Judged:
    """The checks' verdicts, and which rows broke which rule."""

    checks: tuple[Check, ...]
    broken: tuple[str, ...]
    """Columns that are unusable as a whole."""
    faults: dict[int, list[str]]
    """Row position to the row-level rules it breaks."""


def judge(raw: pd.DataFrame, parsed: Parsed, schema: Schema) -> Judged:
    """Carry out everything the schema says of columns and rows.

    A column that is unusable as a whole is told once: the rules of its rows are not judged. Row positions are those of
    `raw`, from 0.
    """
    specs = [*_column_specs(parsed, schema), *_rule_specs(parsed, schema)]
    failed = _validate(parsed.frame, specs) if len(parsed.frame) else {}
    broken = [*parsed.missing, *(spec.column for spec in specs if spec.level == "table" and spec.column and _key(spec) in failed)]
    faults: dict[int, list[str]] = {}
    told: dict[str, set[int]] = {}
    checks = list(_presence(parsed, schema))
    for spec in specs:
        if spec.level == "row" and set(spec.columns) & set(broken):
            continue
        positions = failed.get(_key(spec), [])
        if spec.column is None:  # a cell that is wrong by itself is told once
            positions = [position for position in positions if not any(position in told.get(name, ()) for name in spec.columns)]
        checks.append(_verdict(spec, positions, raw))
        for position in positions if spec.level == "row" else ():
            faults.setdefault(position, []).append(f"{', '.join(spec.columns)}: {spec.rule}")
            told.setdefault(spec.columns[0], set()).add(position)
    return Judged(tuple(checks), tuple(broken), dict(sorted(faults.items())))


def _presence(parsed: Parsed, schema: Schema) -> Iterator[Check]:
    """Declared columns that are there or not, undeclared ones that may stay out or not."""
    for column in schema.columns:
        if not column.optional:
            gone = column.name in parsed.missing
            what = "label column is there" if column.name == schema.target else "column is there"
            yield Check(
                tool=TOOL,
                column=column.name,
                rule=what,
                level="table",
                failures=int(gone),
                examples=(f"found {', '.join([*map(str, parsed.frame.columns), *parsed.extra])}",) if gone else (),
            )
    if parsed.extra or schema.extra == "stop":
        yield Check(
            tool=TOOL,
            column=None,
            rule="has no columns but those declared" if schema.extra == "stop" else "columns nobody declared were dropped",
            level="table",
            failures=int(schema.extra == "stop" and bool(parsed.extra)),
            examples=tuple(f"column {name!r}" for name in parsed.extra),
        )


def _column_specs(parsed: Parsed, schema: Schema) -> Iterator[Spec]:
    for name in map(str, parsed.frame.columns):
        column = schema[name]
        unfit = parsed.unfit.get(name, pd.Series(False, index=parsed.frame.index))
        for rule, level, holds in _rules_of(column, unfit, required=not column.nullable or name == schema.target):
            yield Spec(name, rule, level, holds, (name,))
        if name in schema.ids:
            yield Spec(name, "occurs once", "row", lambda cells: cells.isna() | ~cells.duplicated(), (name,))


def _rules_of(
    column: Column, unfit: Series, required: bool
) -> Iterator[tuple[str, Literal["table", "row"], Callable[[Series], Any]]]:
    """The rules of one column; `unfit` marks the cells that are not of its type."""
    yield "is not empty", "table", lambda cells: bool(cells.notna().any() or unfit.any())
    if column.kind not in ("text", "category"):
        yield (
            f"is {EXPECTED[column.kind]} in at least half of its cells",
            "table",
            lambda cells: bool(unfit.sum() <= WHOLE * (cells.notna() | unfit).sum()),
        )
    yield f"is {EXPECTED[column.kind]}", "row", lambda cells: ~unfit.loc[cells.index]
    if required:
        yield "has a value", "row", lambda cells: cells.notna() | unfit.loc[cells.index]
    if column.low is not None:
        yield f"is at least {column.low:g}", "row", lambda cells: cells.isna() | (cells >= column.low)
    if column.high is not None:
        yield f"is at most {column.high:g}", "row", lambda cells: cells.isna() | (cells <= column.high)
    if column.levels:
        allowed = ", ".join(map(repr, column.levels))
        yield f"is one of {allowed}", "row", lambda cells: cells.isna() | cells.isin(column.levels)


def _rule_specs(parsed: Parsed, schema: Schema) -> Iterator[Spec]:
    for rule in schema.rules:
        if set(rule.columns) <= set(parsed.frame.columns):
            yield Spec(None, rule.name, "row", rule.holds, rule.columns)


def _key(spec: Spec) -> str:
    """The name under which Pandera reports a check."""
    return f"{spec.column or ''}|{spec.rule}"


def _validate(frame: pd.DataFrame, specs: list[Spec]) -> dict[str, list[int]]:
    """Check key to the positions of the rows that break it (one position for a truth about a whole column)."""
    import pandera.pandas as pa

    def check(spec: Spec) -> pa.Check:
        return pa.Check(spec.holds, name=_key(spec), ignore_na=False)

    frame = frame.reset_index(drop=True)
    columns = {
        name: pa.Column(nullable=True, checks=[check(spec) for spec in specs if spec.column == name]) for name in frame.columns
    }
    wide = [check(spec) for spec in specs if spec.column is None]
    try:
        pa.DataFrameSchema(columns, checks=wide).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        cases = cases.assign(row=pd.to_numeric(cases["index"]).fillna(0).astype(int))  # a whole column has no index
        return {str(key): sorted(set(rows)) for key, rows in cases.groupby("check", sort=False)["row"]}
    return {}


def _verdict(spec: Spec, positions: list[int], raw: pd.DataFrame) -> Check:
    failures = len(positions) if spec.level == "row" else int(len(positions) > 0)
    shown = positions[:SHOWN] if spec.level == "row" else list(range(min(3, len(raw)))) if failures else []
    return Check(
        tool=TOOL,
        column=spec.column,
        rule=spec.rule,
        level=spec.level,
        failures=failures,
        examples=tuple(f"row {position}: {_cells(raw, position, spec.columns)}" for position in shown),
    )


def _cells(raw: pd.DataFrame, position: int, columns: tuple[str, ...]) -> str:
    """The cells a rule looked at, as the source gave them."""
    values = [raw[name].iloc[position] for name in columns]
    if len(columns) == 1:
        return repr(plain(values[0]))
    return ", ".join(f"{name} {plain(value)!r}" for name, value in zip(columns, values, strict=True))


def plain(value: Any) -> Any:
    """A numpy scalar as Python's own, so that it prints as a value; missing ones as None."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and np.isnan(value) else value
