"""`TabularProject`: most of the contract for tables, from a schema.

A project on a table says its schema, its row-wise features, its candidates and its metrics::

    class Churn(TabularProject[Classifier]):
        name = "churn"
        schema = Schema(columns=(...), target="Churn", ids=("customerID",))
        slice_by = ("gender", "Contract")
        model_codec = Skops(trusted=("pipelines.projects.churn.models.Classifier",))

        def engineer(self, rows): ...                            # new columns, each from its own row
        def fit(self, candidate, params, train, valid, training): ...
        def predict(self, model, data): ...                      # {"probability": …}
        def score(self, truth, predictions, params): ...         # {"roc_auc": …}
        def figures(self, evidence, folder): ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.core.codecs import Codec
from pipelines.core.config import Split
from pipelines.core.contract import Arrays, Checked, Featured, Probes, Project, Splits, Window
from pipelines.core.errors import ConfigError, DataError
from pipelines.parts.splitting import by_time, three_way
from pipelines.parts.tabular.codecs import Parquet
from pipelines.parts.tabular.loading import PATTERNS, read_folder
from pipelines.parts.tabular.parse import parse, settle
from pipelines.parts.tabular.rows import TableProbes, given, refuse
from pipelines.parts.tabular.schema import Schema

Model = TypeVar("Model")


class TabularProject(Project[pd.DataFrame, Model], Generic[Model]):
    """A project whose data are one table. Subclasses say `schema`, `engineer`, `fit`, `predict`, `score`, `figures`."""

    schema: ClassVar[Schema]
    files: ClassVar[tuple[str, ...]] = PATTERNS
    """Which files of the raw data are the table, as glob patterns."""
    slice_by: ClassVar[tuple[str, ...]] = ()
    """Columns each of whose values is a group to be judged on its own."""
    group_by: ClassVar[tuple[str, ...]] = ()
    """Columns that say which rows belong together (a household, a patient): such rows are never split up. Without any, rows
    with equal inputs belong together."""
    time: ClassVar[str | None] = None
    """Column with the row's time. If there is one, windows filter by it and splits run forward in time; then there can be no
    `group_by`, for groups with rows on both sides of an instant can be kept together only against time."""
    block: ClassVar[timedelta | None] = None
    """Span of `time` whose rows depend on each other, such as a week of days that resemble their neighbours: intervals are drawn
    in whole spans."""
    data_codec: Codec[pd.DataFrame] = Parquet()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.time is not None and cls.group_by:
            raise ConfigError(
                f"{cls.__name__} has both time ({cls.time!r}) and group_by ({', '.join(cls.group_by)}); rows are split by one of "
                "them: leave the other out, or write a split of your own that drops what lies on both sides"
            )
        if cls.block is not None and cls.time is None:
            raise ConfigError(f"{cls.__name__} has a block of {cls.block}, which is a span of time, and names no column of time")

    # what a project says ------------------------------------------------------------------------------------------------

    def engineer(self, rows: pd.DataFrame) -> pd.DataFrame:
        """New columns from the parsed ones, same index. Each row is computed from itself alone."""
        return pd.DataFrame(index=rows.index)

    def feature_docs(self) -> Mapping[str, str]:
        """Engineered column to what it is, for the feature report."""
        return {}

    def feature_report(self, splits: Splits[pd.DataFrame], params: Any) -> dict[str, Any]:
        """More for the feature report, such as what each group of features is worth; splits carry their features."""
        return {}

    # data ---------------------------------------------------------------------------------------------------------------

    def load(self, raw: Path, window: Window) -> pd.DataFrame:
        """The rows of the window: by the time column where there is one, else by position. Cells of text files stay text."""
        frame = read_folder(raw, self.files)
        if self.time is None:
            return frame.iloc[np.asarray(window.positions(len(frame)), dtype=np.intp)].reset_index(drop=True)
        if self.time not in frame.columns:
            raise DataError(
                f"the raw data have no column {self.time!r}, which says when a row is from; columns: {list(frame.columns)}"
            )
        times = pd.to_datetime(frame[self.time], errors="coerce", utc=True, format="ISO8601")
        inside = ~(times >= pd.Timestamp(window.end))  # rows without a readable time stay in, for `check` to name
        if window.start is not None:
            inside &= ~(times < pd.Timestamp(window.start))
        return frame[inside].reset_index(drop=True)

    def check(self, data: pd.DataFrame) -> Checked[pd.DataFrame]:
        """The rows in their types, what broke a rule, and the pages that show it."""
        from pipelines.parts.tabular.checks import check_table

        return check_table(data, self.schema)

    def read(self, rows: Any) -> pd.DataFrame:
        """Rows as a data frame, a list of mappings, one mapping, or the path of a CSV, parquet or JSON file or of a
        folder with such.

        Columns nobody declared are ignored, and so is the label.
        """
        frame = given(rows, self.schema).reset_index(drop=True)
        wanted = (*self.schema.features, *(name for name in self.schema.ids if name in frame.columns))
        optional = (*self.schema.ids, *([self.schema.target] if self.schema.target else []))
        parsed = parse(frame.drop(columns=[name for name in frame.columns if name not in wanted]), self.schema, without=optional)
        refuse(frame, parsed, self.schema)
        return self._featured(settle(parsed.frame, self.schema))

    def split(self, data: pd.DataFrame, params: Split, seed: int) -> Splits[pd.DataFrame]:
        """By time if the table has one; else stratified by a target with levels. Equal inputs stay on one side."""
        if self.time is not None:
            parts = by_time(data[self.time].to_numpy(), params)
        else:
            parts = three_way(self._units(data), self._strata(data), params, seed)
        return Splits(*(self.take(data, part) for part in parts))  # type: ignore[arg-type]

    def features(self, splits: Splits[pd.DataFrame], params: Any) -> Featured[pd.DataFrame]:
        """Engineered columns beside the parsed ones, the same for every split because each row is on its own."""
        featured = Splits(*(self._featured(part) for part in (splits.train, splits.valid, splits.test)))
        self._prove_row_wise(splits.train, featured.train)
        docs = {**{column.name: column.doc for column in self.schema.columns}, **self.feature_docs()}
        report = {
            "rows": {"train": len(featured.train), "valid": len(featured.valid), "test": len(featured.test)},
            "columns": {
                str(name): {"type": str(dtype), "doc": docs.get(str(name), "")} for name, dtype in featured.train.dtypes.items()
            },
            **self.feature_report(featured, params),
        }
        return Featured(featured, report)

    def explore(self, featured: Featured[pd.DataFrame], folder: Path) -> None:
        """Each column by split, what is missing, the balance of the target."""
        from pipelines.parts.tabular.exploration import explore

        explore(featured.splits, self.schema, folder)

    def count(self, data: pd.DataFrame) -> int:
        return len(data)

    def take(self, data: pd.DataFrame, positions: Sequence[int]) -> pd.DataFrame:
        return data.iloc[np.asarray(positions, dtype=np.intp)].reset_index(drop=True)

    # what is judged and watched -----------------------------------------------------------------------------------------

    def truth(self, data: pd.DataFrame) -> Arrays:
        """`label`: 1 for the positive level and 0 for the others where the target has levels, else the target itself."""
        label = data[self._target]
        if self.schema[self._target].levels:
            return {"label": (label == self.schema.positive).to_numpy(dtype=np.int64)}
        return {"label": label.to_numpy()}

    def answer(self, model: Model, data: pd.DataFrame, predictions: Arrays) -> list[dict[str, Any]]:
        """Ids and predictions, row by row."""
        ids = {name: data[name].tolist() for name in self.schema.ids if name in data.columns}
        columns = {**ids, **{name: np.asarray(values).tolist() for name, values in predictions.items()}}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def example(self, data: pd.DataFrame, rows: int) -> list[dict[str, Any]]:
        """The first rows as JSON-able mappings of the declared columns, without the label."""
        names = [name for name in self.schema.names if name in data.columns and name != self.schema.target]
        plain = data[names].head(rows).astype(object)
        return [
            {
                str(name): None if pd.isna(cell) else cell.isoformat() if isinstance(cell, pd.Timestamp) else cell
                for name, cell in row.items()
            }
            for row in plain.to_dict("records")
        ]

    def slices(self, data: pd.DataFrame) -> Mapping[str, Sequence[int]]:
        """`column=value` to the positions of its rows, for each value that `slice_by`'s columns have."""
        found: dict[str, Sequence[int]] = {}
        for name in self.slice_by:
            cells = data[name].astype(object)
            for value in sorted(cells.dropna().unique(), key=str):
                found[f"{name}={value}"] = np.flatnonzero((cells == value).to_numpy()).tolist()
        return found

    def watch(self, model: Model, data: pd.DataFrame) -> Arrays:
        """The schema's inputs as they came, and what the model makes of them (`score.…`).

        Takes a raw window as well as featured rows. Values outside a category's levels are kept: new ones are drift. A row
        that cannot be predicted (`read` would refuse it) has a missing score.
        """
        parsed = parse(data, self.schema, without=(*self.schema.ids, self._target)).frame
        channels: dict[str, Any] = {}
        for column in (self.schema[name] for name in self.schema.features if name in parsed.columns):
            if column.numeric:
                channels[column.name] = parsed[column.name].to_numpy(dtype=float)
            elif column.kind == "category":
                channels[column.name] = parsed[column.name].fillna("(missing)").to_numpy(dtype=str)
        rows = settle(parsed, self.schema)
        needed = [name for name in self.schema.features if name in rows.columns and not self.schema[name].nullable]
        whole = rows[needed].notna().all(axis=1).to_numpy()
        predictions = self.predict(model, self._featured(rows[whole].reset_index(drop=True)))
        return channels | {f"score.{name}": _spread(np.asarray(values), whole) for name, values in predictions.items()}

    def labelled(self, data: pd.DataFrame) -> pd.DataFrame:
        """Rows with a label that the schema knows and with everything a prediction needs."""
        target = self.schema.target
        if target is None or target not in data.columns:
            return self.take(data, [])
        parsed = settle(parse(data, self.schema, without=self.schema.ids).frame, self.schema)
        needed = [n for n in self.schema.features if n in parsed.columns and not self.schema[n].nullable]
        return self._featured(parsed[parsed[[target, *needed]].notna().all(axis=1)].reset_index(drop=True))

    def units(self, data: pd.DataFrame) -> Sequence[Any] | None:
        """The group of each row, or its span of time; see `group_by` and `block`."""
        if self.group_by:
            return self._units(data)  # type: ignore[no-any-return]
        if self.time is None or self.block is None:
            return None
        since = pd.to_datetime(data[self.time], utc=True) - pd.Timestamp(0, tz="UTC")
        return (since // self.block).tolist()

    def times(self, data: pd.DataFrame) -> NDArray[np.float64] | None:
        """What the column `time` says, as far as it can be read."""
        if self.time is None or self.time not in data.columns:
            return None
        read = pd.to_datetime(data[self.time], errors="coerce", utc=True, format="ISO8601")
        since: pd.Series = (read - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        return since.to_numpy(float)

    def permuted(self, data: pd.DataFrame, channel: str, order: Sequence[int]) -> pd.DataFrame | None:
        """One input of the schema shuffled, and the features engineered from it anew."""
        if channel not in self.schema.features or channel not in data.columns:
            return None
        moved = data[channel].iloc[np.asarray(order, dtype=np.intp)].set_axis(data.index)
        return self._featured(data.assign(**{channel: moved}))

    def probes(self) -> Probes[pd.DataFrame]:
        return TableProbes(self.schema)

    # inside -------------------------------------------------------------------------------------------------------------

    @property
    def _target(self) -> str:
        if self.schema.target is None:
            raise ConfigError(f"the schema of {self.name!r} names no target, so there is no label; set Schema(target=...)")
        return self.schema.target

    def _featured(self, rows: pd.DataFrame) -> pd.DataFrame:
        engineered = self.engineer(rows)
        return pd.concat([rows.drop(columns=[c for c in engineered.columns if c in rows.columns]), engineered], axis=1)

    def _units(self, data: pd.DataFrame) -> Any:
        """One label a row: rows with equal inputs share it, and rows of one group."""
        columns = list(self.group_by) or [name for name in self.schema.features if name in data.columns]
        return pd.util.hash_pandas_object(data[columns].astype(str), index=False).to_numpy()

    def _strata(self, data: pd.DataFrame) -> Any:
        if self.schema.target and self.schema[self.schema.target].levels:
            return data[self.schema.target].astype(str).to_numpy()
        return np.zeros(len(data), dtype=np.int8)

    def _prove_row_wise(self, rows: pd.DataFrame, featured: pd.DataFrame) -> None:
        """Raises ConfigError when a feature of a row changes once the row stands alone: it looked at other rows."""
        for position in {0, len(rows) // 2, len(rows) - 1} if len(rows) else ():
            alone = self._featured(rows.iloc[[position]])
            together = featured.iloc[[position]]
            differing = [n for n in featured.columns if not alone[n].astype(object).equals(together[n].astype(object))]
            if differing:
                raise ConfigError(
                    f"features {differing} of row {position} differ when the row stands alone, so they look at other rows; "
                    "compute them from the row itself, or fit them inside the model, where only training rows are seen"
                )


def _spread(values: Any, rows: Any) -> Any:
    """Values of some rows among all rows; the others are missing."""
    if rows.all():
        return values
    spread = np.full((len(rows), *values.shape[1:]), np.nan)
    spread[rows] = values
    return spread
