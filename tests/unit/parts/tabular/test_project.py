"""What TabularProject gives a project that says only its schema and its row-wise features."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from pipelines.core.config import Split
from pipelines.core.contract import Splits, Window
from pipelines.core.errors import ConfigError, DataError
from pipelines.data.replay import newest
from pipelines.parts.tabular.project import TabularProject
from pipelines.parts.tabular.schema import Column, Schema

ALWAYS = Window(None, datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def cleaned(project: Any, raw: pd.DataFrame) -> pd.DataFrame:
    return project.check(raw).data


@pytest.fixture
def model(project: Any, cleaned: pd.DataFrame) -> Any:
    splits = project.features(project.split(cleaned, Split(), 7), None).splits
    return project.fit("logistic", None, splits.train, splits.valid, None).model


def parts(splits: Splits[pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return splits.train, splits.valid, splits.test


# loading ----------------------------------------------------------------------------------------------------------------


def test_load_takes_the_rows_of_the_window(project: Any, raw: pd.DataFrame, tmp_path: Path) -> None:
    raw.to_csv(tmp_path / "rows.csv", index=False)
    window = Window(None, ALWAYS.end, positions=lambda rows: np.arange(rows)[::50])
    assert project.load(tmp_path, window)["id"].tolist() == ["c0000", "c0050", "c0100", "c0150"]


class Timed(TabularProject[Any]):
    name = "timed"
    schema = Schema((Column("at", "time"), Column("y", "number")), target="y")
    time = "at"
    fit = predict = score = figures = None  # type: ignore[assignment]


def test_load_and_split_by_time(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=100, tz="UTC")
    pd.DataFrame({"at": days[::-1].astype(str), "y": range(100)}).to_parquet(tmp_path / "rows.parquet")
    window = Window(days[10].to_pydatetime(), days[90].to_pydatetime())
    data = Timed().check(Timed().load(tmp_path, window)).data
    assert (data["at"].min(), data["at"].max(), len(data)) == (days[10], days[89], 80)
    train, valid, test = parts(Timed().split(data, Split(valid=0.25, test=0.25), 7))
    assert [len(part) for part in (train, valid, test)] == [40, 20, 20]
    assert train["at"].max() < valid["at"].min() <= valid["at"].max() < test["at"].min()


def test_rows_without_a_time_are_not_split_by_it() -> None:
    data = pd.DataFrame({"at": [pd.Timestamp("2024-01-01", tz="UTC"), pd.NaT] * 10, "y": range(20)})
    with pytest.raises(DataError, match="10 of 20 rows have no time, by which they are split"):
        Timed().split(data, Split(), 7)


def test_rows_of_one_span_of_time_are_one_unit() -> None:
    days = pd.DataFrame({"at": pd.date_range("2024-01-01", periods=10, tz="UTC"), "y": range(10)})
    assert Timed().units(days) is None
    weekly = type("Weekly", (Timed,), {"block": timedelta(days=7)})().units(days)
    assert weekly is not None
    assert [list(weekly).count(unit) for unit in dict.fromkeys(weekly)] == [3, 7], "counted from 1970, which began on a Thursday"
    with pytest.raises(ConfigError, match=r"has a block of 7 days, .* and names no column of time"):
        type("Timeless", (Families,), {"block": timedelta(days=7)})


def test_rows_of_one_group_are_one_unit() -> None:
    units = Families().units(pd.DataFrame({"family": ["a", "b", "a"], "x": [1.0, 2.0, 3.0], "y": ["a", "b", "a"]}))
    assert units is not None
    assert units[0] == units[2] != units[1]


def test_a_table_is_split_by_time_or_by_groups() -> None:
    with pytest.raises(ConfigError, match=r"has both time \('at'\) and group_by \(family\); rows are split by one of them"):
        type("Both", (Timed,), {"group_by": ("family",)})


def test_load_without_the_time_column(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("y\n1\n")
    with pytest.raises(DataError, match="no column 'at', which says when a row is from"):
        Timed().load(tmp_path, ALWAYS)


# splitting --------------------------------------------------------------------------------------------------------------


def test_splits_are_stratified_disjoint_and_seeded(project: Any, cleaned: pd.DataFrame) -> None:
    train, valid, test = parts(project.split(cleaned, Split(), 7))
    assert sorted([*train["id"], *valid["id"], *test["id"]]) == sorted(cleaned["id"])
    assert (len(valid), len(test)) == pytest.approx((40, 40), abs=1)
    for part in (train, valid, test):
        assert (part["left"] == "yes").mean() == pytest.approx((cleaned["left"] == "yes").mean(), abs=0.02)
    assert parts(project.split(cleaned, Split(), 7))[2].equals(test)
    assert not parts(project.split(cleaned, Split(), 8))[2]["id"].equals(test["id"])


def test_equal_inputs_stay_on_one_side_whatever_their_id_and_label(project: Any, cleaned: pd.DataFrame) -> None:
    twins = cleaned.assign(id=[f"t{number}" for number in range(len(cleaned))], left=cleaned["left"].iloc[::-1].to_numpy())
    both = pd.concat([cleaned, twins.astype({"left": cleaned["left"].dtype})], ignore_index=True)
    inputs = [
        set(map(tuple, part[["age", "spend", "plan", "since"]].astype(str).to_numpy()))
        for part in parts(project.split(both, Split(), 7))
    ]
    assert inputs[0].isdisjoint(inputs[1] | inputs[2])
    assert inputs[1].isdisjoint(inputs[2])


def test_order_of_the_file_does_not_matter(project: Any, cleaned: pd.DataFrame) -> None:
    turned = cleaned.iloc[::-1].reset_index(drop=True)
    assert set(parts(project.split(turned, Split(), 7))[2]["id"]) == set(parts(project.split(cleaned, Split(), 7))[2]["id"])


def test_as_rows_arrive_hardly_one_changes_sides(project: Any) -> None:
    """A champion trained on half of the rows meets hardly any of them in the test of its challenger on all rows."""
    from pipelines.parts.tabular.parse import parse, settle

    everything = pd.DataFrame(
        {
            "age": np.arange(4000) % 60 + 20,
            "spend": np.arange(4000) / 10,
            "plan": "pro",
            "since": "2024-01-01",
            "left": ["no", "yes"] * 2000,
        }
    )
    data = settle(parse(everything, project.schema).frame, project.schema)
    before = parts(project.split(data.iloc[::2].assign(left=data["left"].iloc[::2]), Split(), 7))
    after = parts(project.split(data, Split(), 7))
    moved = set(before[0]["spend"]) & set(after[2]["spend"])
    assert len(moved) < 0.03 * len(before[0])


class Families(TabularProject[Any]):
    name = "families"
    schema = Schema((Column("family", "text"), Column("x", "number"), Column("y", "category", levels=("a", "b"))), target="y")
    group_by: ClassVar[tuple[str, ...]] = ("family",)
    fit = predict = score = figures = None  # type: ignore[assignment]


def test_groups_are_not_split_up() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"family": rng.integers(0, 40, 300).astype(str), "x": np.arange(300.0), "y": rng.choice(["a", "b"], 300)})
    families = [set(part["family"]) for part in parts(Families().split(data, Split(), 1))]
    assert families[0].isdisjoint(families[1] | families[2])
    assert families[1].isdisjoint(families[2])


def test_too_few_rows_to_split(project: Any, cleaned: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"1 rows are too few to split: none is left for"):
        project.split(cleaned.iloc[:1], Split(), 7)


# features ---------------------------------------------------------------------------------------------------------------


def test_features_are_the_same_alone_and_together(project: Any, cleaned: pd.DataFrame) -> None:
    featured = project.features(project.split(cleaned, Split(), 7), None)
    assert featured.report["columns"]["per_year"] == {"type": "float64", "doc": "spend by age"}
    assert featured.report["rows"] == {"train": len(featured.splits.train), "valid": 40, "test": len(featured.splits.test)}


def test_a_feature_that_looks_at_other_rows_is_refused(
    project: Any, cleaned: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "engineer", lambda rows: pd.DataFrame({"z": rows["age"] - rows["age"].mean()}))
    with pytest.raises(ConfigError, match=r"features \['z'\] of row 0 differ when the row stands alone"):
        project.features(project.split(cleaned, Split(), 7), None)


# rows of a caller -------------------------------------------------------------------------------------------------------


def test_example_rows_can_be_sent_back(project: Any, cleaned: pd.DataFrame, tmp_path: Path) -> None:
    rows = project.example(cleaned, 5)
    assert "left" not in rows[0]
    assert json.loads(json.dumps(rows)) == rows
    expected = project.read(rows)
    assert "per_year" in expected
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    for given in (pd.DataFrame(rows), tmp_path / "rows.json", str(tmp_path / "rows.csv")):
        pd.testing.assert_frame_equal(project.read(given), expected)
    pd.testing.assert_frame_equal(project.read(rows[0]), expected.iloc[:1])


def test_no_rows_are_fine(project: Any, model: Any) -> None:
    for nothing in ([], pd.DataFrame(), pd.DataFrame(columns=["age", "spend", "plan", "since"])):
        data = project.read(nothing)
        assert len(data) == 0
        assert project.answer(model, data, project.predict(model, data)) == []


def test_id_label_and_unknown_columns_are_not_needed(project: Any, cleaned: pd.DataFrame) -> None:
    rows = project.example(cleaned, 2)
    bare = [{key: cell for key, cell in row.items() if key != "id"} for row in rows]
    more = [{**row, "left": "yes", "shoe size": 43} for row in bare]
    pd.testing.assert_frame_equal(project.read(more), project.read(bare))


def test_every_fault_of_the_rows_is_named(project: Any, cleaned: pd.DataFrame) -> None:
    good = {key: cell for key, cell in project.example(cleaned, 1)[0].items() if key != "spend"}
    rows = [{**good, "spent": 1, "age": "old"}, {**good, "age": "older", "plan": "gold", "since": None}]
    with pytest.raises(DataError) as error:
        project.read(rows)
    assert str(error.value).splitlines() == [
        "these rows cannot be predicted:",
        "  - column 'spend' is missing; did you mean 'spent'?",
        "  - column 'age': expected a whole number, found 'old' in row 0 (and 1 more rows)",
        "  - column 'plan': expected one of 'basic', 'plus', 'pro', found 'gold' in row 1",
        "  - column 'since': expected a value, found None in row 1",
    ]


def test_a_cell_is_told_as_its_value(project: Any, cleaned: pd.DataFrame) -> None:
    """Not as numpy's scalars, which a table holds."""
    good = project.example(cleaned, 1)[0]
    frame = pd.DataFrame([{**good, "age": False, "plan": np.nan}]).astype({"age": bool})
    with pytest.raises(DataError) as error:
        project.read(frame)
    assert "column 'age': expected a whole number, found False in row 0" in str(error.value)
    assert "column 'plan': expected a value, found None in row 0" in str(error.value)


@pytest.mark.parametrize("rows", [None, 7, [1, 2], [[1], [2]]])
def test_rows_that_are_no_rows(project: Any, rows: Any) -> None:
    with pytest.raises(DataError, match="expected a table, a list of mappings or the path of a file"):
        project.read(rows)


def test_probes_break_what_read_refuses(project: Any, cleaned: pd.DataFrame) -> None:
    probes = project.probes()
    broken = probes.broken_rows(project.example(cleaned, 2))
    assert len(broken) == 10
    for what, rows in broken.items():
        with pytest.raises(DataError):
            pytest.fail(f"accepted: {what}: {project.read(rows)}")
    order = list(range(len(cleaned)))[::-1]
    turned = probes.relabel(cleaned, order)
    assert turned["left"].tolist() == cleaned["left"].tolist()[::-1]
    assert turned.dtypes.equals(cleaned.dtypes)
    assert set(probes.inputs(cleaned)) == {"age", "spend", "plan", "since"}
    assert list(probes.label(cleaned)) == cleaned["left"].tolist()


# judging and watching ---------------------------------------------------------------------------------------------------


def test_truth_slices_take_count_answer(project: Any, cleaned: pd.DataFrame, model: Any) -> None:
    assert project.truth(cleaned)["label"].tolist() == (cleaned["left"] == "yes").astype(int).tolist()
    slices = project.slices(cleaned)
    assert list(slices) == ["plan=basic", "plan=plus", "plan=pro"]
    assert sorted(position for positions in slices.values() for position in positions) == list(range(200))
    some = project.take(cleaned, [5, 3])
    assert some["id"].tolist() == ["c0005", "c0003"]
    assert project.count(some) == 2
    rows = project.read(project.example(some, 2))
    [answer, _] = project.answer(model, rows, project.predict(model, rows))
    assert answer["id"] == "c0005"
    assert isinstance(answer["probability"], float)


def test_watch_takes_raw_windows_and_featured_rows(project: Any, raw: pd.DataFrame, cleaned: pd.DataFrame, model: Any) -> None:
    raw.loc[0, "plan"] = "gold"
    raw.loc[1, "plan"] = ""
    channels = project.watch(model, raw)
    assert set(channels) == {"age", "spend", "plan", "score.probability"}
    assert channels["spend"].dtype == float
    assert np.isnan(channels["spend"]).any()
    assert channels["plan"][:2].tolist() == ["gold", "(missing)"], "what is new is not hidden"
    assert np.isnan(channels["score.probability"]).tolist() == [True, True] + [False] * 198
    again = project.watch(model, project.features(project.split(cleaned, Split(), 7), None).splits.test)
    assert set(again) == set(channels)


def test_labelled_are_the_rows_of_a_raw_window_whose_label_is_known(project: Any, raw: pd.DataFrame, model: Any) -> None:
    raw.loc[0, "left"] = " "
    raw.loc[1, "left"] = "perhaps"
    raw.loc[2, "age"] = ""
    known = project.labelled(raw)
    assert known["id"].tolist() == raw["id"].tolist()[3:]
    assert project.truth(known)["label"].tolist() == (raw["left"][3:] == "yes").astype(int).tolist()
    assert len(project.predict(model, known)["probability"]) == 197
    assert len(project.labelled(raw.drop(columns="left"))) == 0


def test_one_column_is_shuffled_and_what_is_engineered_from_it_follows(project: Any, raw: pd.DataFrame) -> None:
    rows = project.labelled(raw)
    order = np.arange(len(rows))[::-1]
    moved = project.permuted(rows, "age", order)
    assert moved["age"].tolist() == rows["age"].tolist()[::-1]
    assert moved["spend"].equals(rows["spend"])
    np.testing.assert_allclose(moved["per_year"], moved["spend"].fillna(0) / moved["age"])
    assert project.permuted(rows, "score.probability", order) is None
    assert project.permuted(rows, "left", order) is None, "the label is no input"


def test_times_and_the_newest_are_found_among_raw_cells(project: Any, raw: pd.DataFrame) -> None:
    cells = pd.DataFrame({"at": ["2024-01-05", "2024-02-01T12:00:00Z", "soon"], "y": ["1", "2", "3"]})
    noon = datetime(2024, 2, 1, 12, tzinfo=UTC)
    np.testing.assert_array_equal(Timed().times(cells), [datetime(2024, 1, 5, tzinfo=UTC).timestamp(), noon.timestamp(), np.nan])
    assert newest(Timed().times(cells)) == noon
    assert newest(Timed().times(cells[2:])) is None
    assert project.times(raw) is None
    assert newest(None) is None


def test_a_table_without_target_has_no_label(raw: pd.DataFrame) -> None:
    class Unlabelled(Timed):
        schema = Schema((Column("at", "time"),))

    with pytest.raises(ConfigError, match="names no target"):
        Unlabelled().truth(raw)
    assert len(Unlabelled().labelled(pd.DataFrame({"at": ["2024-01-05"]}))) == 0
    assert Timed().truth(pd.DataFrame({"y": [1.5]}))["label"].tolist() == [1.5]
