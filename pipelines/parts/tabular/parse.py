"""From cells as a source gave them to the types a schema declares, with every cell that does not fit named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.parts.tabular.schema import Column, Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Series = pd.Series[Any]

WHOLE = 0.5
"""When more than this share of a column's cells is of another type, the column is wrong, not its rows."""

EXPECTED = {"number": "a number", "integer": "a whole number", "category": "text", "text": "text", "time": "a date or time"}


@dataclass(frozen=True)
class Parsed:
    """A table in its declared types, and what did not fit."""

    frame: pd.DataFrame
    """Declared columns that were present, in the schema's order. A cell that does not fit its type is missing."""
    unfit: dict[str, Series] = field(default_factory=dict)
    """Column to a boolean series: cells that hold something else than the declared type."""
    missing: tuple[str, ...] = ()
    """Declared columns that must be there and are not."""
    extra: tuple[str, ...] = ()
    """Columns nobody declared."""


def parse(raw: pd.DataFrame, schema: Schema, without: Iterable[str] = ()) -> Parsed:
    """Convert every declared column. Blank cells become missing; `without` names columns the caller need not have.

    Numbers become float64, whole numbers int64 where none is missing and float64 elsewhere, categories text until
    `settle` gives them their levels, times UTC timestamps. Nothing is judged here but types.
    """
    present = [column for column in schema.columns if column.name in raw.columns]
    converted = {column.name: _convert(raw[column.name], column) for column in present}
    return Parsed(
        frame=pd.DataFrame({name: values for name, (values, _) in converted.items()}, index=raw.index),
        unfit={name: unfit for name, (_, unfit) in converted.items() if unfit.any()},
        missing=tuple(
            c.name for c in schema.columns if not c.optional and c.name not in raw.columns and c.name not in set(without)
        ),
        extra=tuple(str(name) for name in raw.columns if name not in schema),
    )


def settle(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Give categories their declared levels and whole numbers their type; a value outside its levels becomes missing."""
    types: dict[str, Any] = {}
    for name in frame.columns:
        column = schema[str(name)]
        if column.levels:
            types[column.name] = pd.CategoricalDtype(list(column.levels))
        elif column.kind == "integer" and not column.nullable and not frame[name].isna().any():
            types[column.name] = "int64"
    return frame.astype(types)


def _convert(cells: Series, column: Column) -> tuple[Series, Series]:
    """The column in its type, and which cells were neither blank nor of that type."""
    values: Series
    mixed = cells.dtype == object
    blank = cells.isna() | _each(cells, lambda cell: isinstance(cell, str) and not cell.strip()) if mixed else cells.isna()
    if column.numeric:
        values = pd.to_numeric(cells.where(~blank), errors="coerce").astype("float64")
        fits = np.isfinite(values) & (cells.dtype != bool)
        fits &= ~_each(cells, lambda cell: isinstance(cell, bool | np.bool_)) if mixed else True
        values = values.where(fits & (values == np.floor(values)) if column.kind == "integer" else fits)
    elif column.kind == "time":
        values = pd.to_datetime(cells.where(~blank), errors="coerce", utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    else:
        values = pd.Series(
            [None if empty else _text(cell) for cell, empty in zip(cells, blank, strict=True)], cells.index, object
        )
    return values, values.isna() & ~blank


def _each(cells: Series, holds: Callable[[Any], bool]) -> pd.Series[bool]:
    return cells.map(holds).astype(bool)


def _text(cell: Any) -> str | None:
    """A scalar as text, stripped; None for what is no scalar (a list, a dictionary), which no text column holds.

    A whole number that came as a float (0.0) is written as a whole number (0), so that both are one level.
    """
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell) if np.isscalar(cell) or hasattr(cell, "isoformat") else None
