"""Reading tables from files, each way a file can be broken told in a sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

PATTERNS = ("*.csv", "*.csv.gz", "*.parquet")
AGAIN = "fetch it again"


def read_folder(
    folder: Path, patterns: Sequence[str] = PATTERNS, *, nothing: str = "check what ingest fetched", broken: str = AGAIN
) -> pd.DataFrame:
    """All tables in a folder, one below the other in the order of their names. Cells of CSV files stay text.

    `nothing` and `broken` say what to do where there is none, and where one cannot be read.
    """
    import pandas as pd

    files = sorted({file for pattern in patterns for spelt in (pattern, pattern.upper()) for file in folder.glob(spelt)})
    if not files:
        there = ", ".join(sorted(file.name for file in folder.iterdir())) or "nothing"
        raise DataError(f"expected a table ({', '.join(patterns)}) in {folder}, found {there}; {nothing}")
    tables = [read_table(file, broken) for file in files]
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def read_table(file: Path, broken: str = AGAIN) -> pd.DataFrame:
    """One CSV, parquet or JSON file (a list of rows). Raises DataError that names the file, the place and the remedy."""
    if not file.is_file():
        raise DataError(f"there is no file {file}; check the path")
    if file.stat().st_size == 0:
        raise DataError(f"{file.name} is empty (0 bytes); {broken}")
    if file.suffix.lower() == ".parquet":
        return _parquet(file, broken)
    if file.suffix.lower() == ".json":
        return _json(file)
    return _csv(file, broken)


def _csv(file: Path, broken: str) -> pd.DataFrame:
    """Strict: UTF-8, and every row as long as the header (a shorter one means the file was cut off)."""
    import pyarrow as pa
    import pyarrow.csv as csv

    parse = csv.ParseOptions(newlines_in_values=True)
    try:
        header = csv.open_csv(file, parse_options=parse).schema.names
        text: dict[str, Any] = dict.fromkeys(header, pa.string())
        convert = csv.ConvertOptions(column_types=text, strings_can_be_null=False)
        table = csv.read_csv(file, parse_options=parse, convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, UnicodeDecodeError) as error:
        raise DataError(_csv_fault(file, str(error), broken)) from error
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"{file.name}: columns {', '.join(map(repr, twice))} occur more than once in the header; rename them")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _csv_fault(file: Path, error: str, broken: str) -> str:
    if "invalid UTF8" in error:
        return f"{file.name}: {_encoding_fault(file)}"
    if "Expected" in error and "columns, got" in error:
        fault = error[error.index("Expected") :].split("\n")[0][:200]
        return f"{file.name} is cut off or not one table: {fault[0].lower()}{fault[1:]}; {broken}"
    return f"{file.name} is not a CSV file: {error}; {broken}"


def _encoding_fault(file: Path) -> str:
    try:
        file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return (
            f"expected UTF-8, found byte 0x{error.object[error.start]:02x} in line {line:,}; "
            "save it as UTF-8 (it may be Latin-1 or Windows-1252)"
        )
    return "expected UTF-8 text after decompression; save it as UTF-8"


def _parquet(file: Path, broken: str) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame: pd.DataFrame = pq.ParquetFile(file).read().to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file.name} is not a whole parquet file: {error}; it was cut off, {broken}") from error
    return frame


def _json(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file.name} is not JSON: {error}; expected a list of rows") from error
    rows = [rows] if isinstance(rows, dict) else rows
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise DataError(f"{file.name}: expected a list of rows, each a mapping of column to value")
    return pd.DataFrame(rows)
