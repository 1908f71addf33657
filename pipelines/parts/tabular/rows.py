"""Rows as a caller of a deployed model has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.core.contract import Probes
from pipelines.core.errors import DataError, did_you_mean
from pipelines.core.files import scratch_folder
from pipelines.parts.tabular.loading import read_folder, read_table
from pipelines.parts.tabular.parse import EXPECTED, Parsed
from pipelines.parts.tabular.row_rules import plain
from pipelines.parts.tabular.schema import Schema

ENDINGS = (".csv", ".gz", ".parquet", ".json")
"""Of files that rows are read from."""
_BEGINNINGS = {b"PAR1": ".parquet", b"\x1f\x8b": ".csv.gz"}
_WHOLE = "send the whole file"


def given(rows: Any, schema: Schema) -> pd.DataFrame:
    """A data frame from a data frame, a list of mappings, one mapping, the path of a file or folder, or the bytes of a CSV or
    parquet file; no rows give no rows."""
    if isinstance(rows, bytes):
        rows = _of_bytes(rows)
    if isinstance(rows, str | Path):
        rows = _of_file(Path(rows))
    rows = [rows] if isinstance(rows, Mapping) else rows
    if not isinstance(rows, pd.DataFrame):
        if not (isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows)):
            raise DataError(f"expected a table, a list of mappings or the path of a file, found {type(rows).__name__}")
        rows = pd.DataFrame(list(rows))
    nothing = not len(rows) and not len(rows.columns)
    return pd.DataFrame(columns=[*schema.ids, *schema.features], dtype=object) if nothing else rows


def _of_bytes(content: bytes) -> pd.DataFrame:
    """A file's rows, by the bytes it begins with."""
    ending = next(
        (ending for begin, ending in _BEGINNINGS.items() if content.startswith(begin)), "" if b"\0" in content else ".csv"
    )
    if not ending:
        raise DataError(
            f"expected rows as JSON lines, CSV (UTF-8) or parquet; found {len(content):,} bytes that are none of these"
        )
    with scratch_folder("rows") as folder:
        path = Path(folder) / f"input{ending}"
        path.write_bytes(content)
        return read_table(path, _WHOLE)


def _of_file(path: Path) -> pd.DataFrame:
    if path.is_dir():
        return read_folder(path, nothing="give a folder with such files, or one file", broken=_WHOLE)
    if path.is_file() and path.suffix.lower() not in ENDINGS:
        raise DataError(f"{path.name}: expected a file that ends in {', '.join(ENDINGS)}; save it as one of these")
    return read_table(path, _WHOLE)


def refuse(given: pd.DataFrame, parsed: Parsed, schema: Schema) -> None:
    """Raise one DataError that names every missing column, cell of a wrong type, missing cell and unknown category."""
    faults = [f"column {name!r} is missing; {did_you_mean(name, map(str, given.columns))}" for name in parsed.missing]
    for name in parsed.frame.columns:
        column, cells = schema[str(name)], parsed.frame[name]
        unfit = parsed.unfit.get(column.name, pd.Series(False, index=cells.index))
        faults += _named(given, column.name, unfit, f"expected {EXPECTED[column.kind]}")
        if not column.nullable and column.name not in schema.ids:
            faults += _named(given, column.name, cells.isna() & ~unfit, "expected a value")
        if column.levels:
            unseen = cells.notna() & ~cells.isin(column.levels)
            faults += _named(given, column.name, unseen, f"expected one of {', '.join(map(repr, column.levels))}")
    if faults:
        raise DataError("these rows cannot be predicted:\n" + "\n".join(f"  - {fault}" for fault in faults))


def _named(given: pd.DataFrame, name: str, wrong: pd.Series[bool], expected: str) -> list[str]:
    positions = np.flatnonzero(wrong.to_numpy())
    if not len(positions):
        return []
    more = f" (and {len(positions) - 1:,} more rows)" if len(positions) > 1 else ""
    return [f"column {name!r}: {expected}, found {plain(given[name].iloc[positions[0]])!r} in row {positions[0]}{more}"]


class TableProbes(Probes[pd.DataFrame]):
    """How the conformance suite breaks a table."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def relabel(self, data: pd.DataFrame, order: Sequence[int]) -> pd.DataFrame:
        assert self.schema.target is not None, "only a table with a target has labels to exchange"
        return data.assign(**{self.schema.target: data[self.schema.target].iloc[np.asarray(order)].to_numpy()}).astype(
            {self.schema.target: data[self.schema.target].dtype}
        )

    def inputs(self, data: pd.DataFrame) -> Mapping[str, Any]:
        return {str(n): data[n].to_numpy() for n in data.columns if n not in (*self.schema.ids, self.schema.target)}

    def label(self, data: pd.DataFrame) -> Any:
        assert self.schema.target is not None, "only a table with a target has labels"
        return data[self.schema.target].to_numpy()

    def broken_rows(self, rows: Any) -> Mapping[str, Any]:
        """A required column gone, a number that is text, a category nobody declared, a needed cell left out."""
        broken: dict[str, Any] = {}
        for column in (self.schema[name] for name in self.schema.features):
            if not column.optional:
                broken[f"{column.name} is missing"] = [{k: v for k, v in row.items() if k != column.name} for row in rows]
            if column.numeric:
                broken[f"{column.name} is text"] = [{**row, column.name: "a lot"} for row in rows]
            if column.levels:
                broken[f"{column.name} is a new category"] = [{**row, column.name: "never seen"} for row in rows]
            if not column.nullable:
                broken[f"{column.name} is blank"] = [{**row, column.name: None} for row in rows]
        return broken
