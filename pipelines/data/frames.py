"""Tables from pandas pickles, without running code from them."""

from __future__ import annotations

import importlib
import io
import lzma
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import DataError
from pipelines.core.files import disk_errors
from pipelines.data.catalog import Column

if TYPE_CHECKING:
    import pandas as pd

_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray"), ("numpy.core.numeric", "numpy._core.numeric")
_ALLOWED = {
    ("builtins", "slice"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *((module, name) for module in _NUMPY[0] for name in ("_reconstruct", "scalar")),
    *((module, "_frombuffer") for module in _NUMPY[1]),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.internals.managers", "BlockManager"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
}
"""All that the pickle of a plain table needs. None of it reads files, starts processes or imports by name."""


class _TableUnpickler(pickle.Unpickler):
    """Builds pandas and numpy objects and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which a plain table does not need")
        # numpy 2 moved its internals and warns of the old path
        return getattr(importlib.import_module(module.replace("numpy.core", "numpy._core")), name)


def read_pickle(content: bytes, origin: str) -> pd.DataFrame:
    """The table in an xz-compressed pickle. Raises DataError when it is cut off or is anything but a plain table."""
    import pandas as pd

    try:
        table = _TableUnpickler(io.BytesIO(lzma.decompress(content))).load()
    except (lzma.LZMAError, EOFError, pickle.UnpicklingError, TypeError, ValueError, AttributeError, ImportError) as error:
        raise DataError(f"{origin}: expected an xz-compressed pickle of a plain pandas table; {error}") from error
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"{origin}: expected a pandas DataFrame, found {type(table).__name__}")
    return table


def write_csv(table: pd.DataFrame, columns: Mapping[str, Column] | None, target: Path, origin: str) -> None:
    """Write a table as CSV with the catalog's column names and codes.

    Numbers take their shortest form (29.85, 44), as published files have them. Raises DataError for a column that is not
    there or a value the catalog does not list.
    """
    import pandas as pd

    wanted = {str(name): Column.model_validate({"from": name}) for name in table.columns} if columns is None else columns
    if missing := sorted({column.from_ for column in wanted.values()} - set(table.columns)):
        raise DataError(f"{origin}: expected columns {missing}, found {list(table.columns)}; mend the catalog entry's columns")
    out = pd.DataFrame({name: _text(table[column.from_], column, origin) for name, column in wanted.items()})
    with disk_errors(f"writing {target.name}"):
        out.to_csv(target, index=False, lineterminator="\n")


def _text(values: pd.Series[Any], column: Column, origin: str) -> pd.Series[Any]:
    present = values.notna()
    if column.values is not None:
        if unknown := sorted(set(values[present]) - set(column.values), key=str):
            raise DataError(
                f"{origin}: column {column.from_!r} holds {unknown}; the catalog entry lists {list(column.values)} only"
            )
        written = values.map(column.values)
    elif values.dtype.kind == "f":
        written = values.map(lambda number: repr(number).removesuffix(".0"), na_action="ignore")
    else:
        written = values.astype(str)
    return written.where(present, column.missing).astype(str)
