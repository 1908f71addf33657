"""Files for tables and models, the same bytes for the same content, and never able to run code."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd


class Parquet:
    """A pandas table. Categories keep their levels and order; the index is not kept."""

    name = "parquet"

    def write(self, value: pd.DataFrame, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pa.Table.from_pandas(value, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(f"the table cannot be written: {error}; give each column one type, or leave it as text") from error
        if levels := _levels(value):
            table = table.replace_schema_metadata({**table.schema.metadata, _LEVELS: json.dumps(levels).encode()})
        pq.write_table(table, path, compression="zstd", row_group_size=1 << 20)

    def read(self, path: Path) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.ParquetFile(path).read()
            frame: pd.DataFrame = table.to_pandas()
        except pa.ArrowInvalid as error:
            raise DataError(f"{path} is not a whole parquet file: {error}; run the stage that writes it again") from error
        levels = json.loads((table.schema.metadata or {}).get(_LEVELS, b"{}"))
        return frame.astype({name: pd.CategoricalDtype(*told) for name, told in levels.items()})

    def columns(self, value: pd.DataFrame) -> dict[str, str]:
        """Column name to type, for the manifest."""
        return {str(name): str(dtype) for name, dtype in value.dtypes.items()}


_LEVELS = b"pipelines.levels"
"""Key of a file's metadata. Parquet itself forgets the levels of a table without rows, and all levels that are no text."""


def _levels(frame: pd.DataFrame) -> dict[str, tuple[list[Any], bool]]:
    """Levels of each column of categories, and whether they are in order; left out where JSON cannot hold them."""
    found = {str(name): column.cat for name, column in frame.items() if column.dtype == "category"}
    plain = {"string", "integer", "floating", "boolean", "empty"}
    return {
        name: (levels.categories.tolist(), bool(levels.ordered))
        for name, levels in found.items()
        if levels.categories.inferred_type in plain
    }


TRUSTED = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)
"""Types beyond scikit-learn's public estimators that a model file may hold. Ours, never the file's own list."""


def skops_io() -> ModuleType:
    """`skops.io`, imported without torch: to list scikit-learn's estimators it imports all packages of scikit-learn, one of
    which takes torch in, a second and 170 MB that no table needs.
    """
    absent = _TORCH not in sys.modules
    if absent:
        sys.modules[_TORCH] = None  # type: ignore[assignment]  # how Python spells that a module cannot be imported
    try:
        return importlib.import_module("skops.io")
    finally:
        if absent:
            del sys.modules[_TORCH]


_TORCH = "sklearn.externals.array_api_compat.torch"


class Skops:
    """A fitted scikit-learn compatible model, in a folder: `model.skops` and `meta.json`.

    A model file can only rebuild objects of known types: scikit-learn's estimators, numpy's arrays, `TRUSTED` and the
    types named here (classes of the project, as `module.Name`). Anything else is refused before it is built.

    The bytes depend on the model only: skops names parts by memory address and stamps them with the time, so parts are
    renumbered in the order they appear, and the stamps are fixed.
    """

    name = "skops"

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self.trusted = frozenset((*TRUSTED, *trusted))

    def write(self, value: Any, path: Path) -> None:
        from pipelines.parts.tabular.canonical import canonical

        content = canonical(skops_io().dumps(value))
        if unknown := self._unknown(content):
            raise ConfigError(
                f"the model holds {', '.join(unknown)}, which could not be loaded again; add what is safe to load to the "
                "project's model_codec = Skops(trusted=(...)), or keep it out of the model"
            )
        path.mkdir(parents=True, exist_ok=True)
        (path / "model.skops").write_bytes(content)
        meta = {
            "class": f"{type(value).__module__}.{type(value).__qualname__}",
            "libraries": {name: version(name) for name in ("numpy", "scikit-learn", "skops", "xgboost-cpu")},
        }
        (path / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def read(self, path: Path) -> Any:
        file = path / "model.skops"
        try:
            content = file.read_bytes()
        except FileNotFoundError as error:
            raise _not_ours(file, error) from error
        try:
            return skops_io().loads(content, trusted=sorted(self.trusted))
        except Exception as error:  # whatever a type's own state setter raises
            raise self._refusal(file, content, error) from error

    def _refusal(self, file: Path, content: bytes, error: Exception) -> DataError:
        """Why a file could not be loaded, for people."""
        import zipfile

        try:
            unknown = self._unknown(content)
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as damage:
            return _not_ours(file, damage)
        if unknown:
            return DataError(
                f"{file} asks to build {', '.join(unknown)}; only types on the project's own list are built, so it was not "
                "loaded. If the model is yours, add them to model_codec = Skops(trusted=(...))"
            )
        return DataError(
            f"{file} could not be rebuilt: {error}. It was written with {_written_with(file.parent)}; "
            "reproduce the model with the libraries installed here, or install those"
        )

    def _unknown(self, content: bytes) -> list[str]:
        return [name for name in skops_io().get_untrusted_types(data=content) if name not in self.trusted]


def _not_ours(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} is not a model this platform wrote ({error}); it was not loaded")


def _written_with(path: Path) -> str:
    meta = path / "meta.json"
    libraries = json.loads(meta.read_text(encoding="utf-8"))["libraries"] if meta.is_file() else {}
    return ", ".join(f"{name} {found}" for name, found in libraries.items()) or "unknown libraries"
