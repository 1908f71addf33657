"""What a bad table is told: column, rule, count and example rows, everything at once."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines.core.contract import Checked
from pipelines.core.errors import ConfigError
from pipelines.parts.tabular.checks import check_table
from pipelines.parts.tabular.schema import Column, Rule, Schema

Judge = Callable[[pd.DataFrame], Checked[pd.DataFrame]]


@pytest.fixture
def judge(schema: Schema) -> Judge:
    """`check_table` with the schema."""
    return lambda frame: check_table(frame, schema)


def sentences(checked: Checked[pd.DataFrame], level: str) -> list[str]:
    return [check.sentence() for check in checked.report.failed if check.level == level]


def test_good_rows_pass_in_their_types(judge: Judge, raw: pd.DataFrame) -> None:
    checked = judge(raw)
    assert checked.report.failed == ()
    assert {check.tool for check in checked.report.checks} == {"pandera", "great_expectations"}
    assert {str(name): str(dtype) for name, dtype in checked.data.dtypes.items()} == {
        "id": "object",
        "age": "int64",
        "spend": "float64",
        "plan": "category",
        "since": "datetime64[us, UTC]",
        "left": "category",
    }
    assert len(checked.data) == checked.report.rows == 200


def test_text_and_typed_cells_clean_to_the_same_table(judge: Judge, raw: pd.DataFrame) -> None:
    """A CSV writes a missing number as blank text, a package as NaN; one has 7 as '7', the other as 7 or 7.0."""
    typed = raw.assign(
        age=raw["age"].astype(float),
        spend=pd.to_numeric(raw["spend"], errors="coerce"),
        since=pd.to_datetime(raw["since"]),
    )
    pd.testing.assert_frame_equal(judge(typed).data, judge(raw).data)


def test_the_two_copies_of_the_telco_rows_clean_to_the_same_table(tmp_path: Path) -> None:
    """The CSV has customer ids and blank text for no total charges; the package's copy has neither."""
    from pipelines.parts.tabular.loading import read_folder
    from pipelines.projects.churn.checks import SCHEMA as CHURN
    from pipelines.projects.churn.simulator import simulate

    simulate(tmp_path, 300, 1, {})
    csv = read_folder(tmp_path)
    csv.loc[[3, 8], ["tenure", "TotalCharges"]] = ["0", " "]
    package = csv.drop(columns="customerID", errors="ignore").assign(
        TotalCharges=pd.to_numeric(csv["TotalCharges"], errors="coerce"),
        MonthlyCharges=csv["MonthlyCharges"].astype(float),
        tenure=csv["tenure"].astype(int),
        SeniorCitizen=csv["SeniorCitizen"].astype(int),
    )
    first, second = check_table(csv, CHURN), check_table(package, CHURN)
    assert first.report.failed == second.report.failed == ()
    pd.testing.assert_frame_equal(first.data.drop(columns="customerID", errors="ignore"), second.data)


def test_levels_that_are_numbers_in_one_source_and_text_in_another() -> None:
    schema = Schema((Column("senior", "category", levels=("0", "1")),))
    for cells in (["0", "1"], [0, 1], [0.0, 1.0]):
        assert check_table(pd.DataFrame({"senior": cells}), schema).data["senior"].tolist() == ["0", "1"]


def test_missing_column(judge: Judge, raw: pd.DataFrame) -> None:
    found = sentences(judge(raw.drop(columns="plan")), "table")
    assert found == ["column 'plan': column is there: not so (e.g. found id, age, spend, since, left)"]


def test_missing_label_column(judge: Judge, raw: pd.DataFrame) -> None:
    assert "column 'left': label column is there: not so" in sentences(judge(raw.drop(columns="left")), "table")[0]


def test_label_missing_in_a_row(judge: Judge, raw: pd.DataFrame) -> None:
    raw.loc[7, "left"] = ""
    checked = judge(raw)
    assert sentences(checked, "row") == ["column 'left': has a value: 1 row (e.g. row 7: '')"]
    assert len(checked.data) == 199


def test_extra_column_stops_or_is_dropped(judge: Judge, raw: pd.DataFrame, schema: Schema) -> None:
    raw["colour"] = "red"
    assert sentences(judge(raw), "table") == ["the data set: has no columns but those declared: not so (e.g. column 'colour')"]
    lenient = Schema(schema.columns, target="left", ids=("id",), extra="drop")
    checked = check_table(raw, lenient)
    assert checked.report.failed == ()
    assert "colour" not in checked.data
    assert any(check.examples == ("column 'colour'",) for check in checked.report.checks), "a dropped column is named"


def test_wrong_type_of_a_whole_column(judge: Judge, raw: pd.DataFrame) -> None:
    found = judge(raw.assign(age="many"))
    assert sentences(found, "table") == [
        "column 'age': is a whole number in at least half of its cells: not so (e.g. row 0: 'many'; row 1: 'many'; row 2: 'many')"
    ]
    assert sentences(found, "row") == [], "a column that is broken as a whole is told once"


@pytest.mark.parametrize(
    ("column", "cell", "rule"),
    [
        ("age", "old", "is a whole number"),
        ("age", 20.5, "is a whole number"),
        ("age", True, "is a whole number"),
        ("spend", "inf", "is a number"),
        ("since", "yesterday", "is a date or time"),
        ("plan", ["pro"], "is text"),
        ("age", "17", "is at least 18"),
        ("spend", "1000.5", "is at most 1000"),
        ("plan", "gold", "is one of 'basic', 'plus', 'pro'"),
        ("age", None, "has a value"),
    ],
)
def test_a_cell_that_breaks_a_rule(judge: Judge, raw: pd.DataFrame, column: str, cell: Any, rule: str) -> None:
    raw.at[3, "plan"] = "pro"  # the plan without a limit on what it costs
    raw.at[3, column] = cell
    checked = judge(raw)
    assert sentences(checked, "row") == [f"column {column!r}: {rule}: 1 row (e.g. row 3: {cell!r})"]
    assert checked.report.quarantined == 1
    assert "c0003" not in checked.data["id"].tolist()


def test_rule_over_several_columns(judge: Judge, raw: pd.DataFrame) -> None:
    raw.loc[[2, 5], ["plan", "spend"]] = ["basic", "80"]
    assert sentences(judge(raw), "row") == [
        "the data set: the basic plan costs at most 50: 2 rows (e.g. row 2: plan 'basic', spend '80'; row 5: plan 'basic', spend '80')"
    ]


def test_all_null_column(judge: Judge, raw: pd.DataFrame) -> None:
    assert sentences(judge(raw.assign(plan=None)), "table") == [
        "column 'plan': is not empty: not so (e.g. row 0: None; row 1: None; row 2: None)"
    ]


def test_duplicated_ids_keep_the_first(judge: Judge, raw: pd.DataFrame) -> None:
    raw.loc[[4, 9], "id"] = "c0001"
    checked = judge(raw)
    assert sentences(checked, "row") == ["column 'id': occurs once: 2 rows (e.g. row 4: 'c0001'; row 9: 'c0001')"]
    assert checked.data["id"].tolist().count("c0001") == 1


def test_constant_target(judge: Judge, raw: pd.DataFrame) -> None:
    assert sentences(judge(raw.assign(left="no")), "table") == ["column 'left': has more than one value: not so (e.g. found 1)"]


def test_class_balance_and_mean(judge: Judge, raw: pd.DataFrame) -> None:
    found = sentences(judge(raw.assign(left=["yes"] * 190 + ["no"] * 10, age="20")), "table")
    assert found == [
        "column 'left': is 'yes' in 10% to 60% of the rows: not so (e.g. found 0.95)",
        "column 'age': has a mean from 25 to 70: not so (e.g. found 20)",
    ]


def test_no_rows(judge: Judge, raw: pd.DataFrame) -> None:
    checked = judge(raw.iloc[:0])
    assert sentences(checked, "table") == ["the data set: has at least 50 rows: not so (e.g. found 0)"]
    assert checked.data["age"].dtype == "int64"


def test_no_columns(judge: Judge) -> None:
    assert len(sentences(judge(pd.DataFrame()), "table")) == 6  # five required columns and the number of rows


def test_everything_at_once(judge: Judge, raw: pd.DataFrame) -> None:
    raw.loc[0, "age"] = "old"
    raw.loc[1, "plan"] = "gold"
    checked = judge(raw.drop(columns="since").assign(left="no"))
    assert len(sentences(checked, "table")) == 2
    assert len(sentences(checked, "row")) == 2


def test_docs_are_small_plain_and_the_same_twice(judge: Judge, raw: pd.DataFrame) -> None:
    raw.loc[3, "plan"] = "<script>alert(1)</script>"
    first, second = judge(raw).docs, judge(raw).docs
    files = sorted(path.name for path in first.iterdir())
    assert files == ["expectations.html", "index.html", "quarantine.csv"]
    for name in files:
        content = (first / name).read_text()
        assert content == (second / name).read_text()
        assert not re.search(
            r"<script|(src|href)=.?http|/tmp|/home|/root", content.replace("quarantine.csv", "")
        ) or name.endswith("csv")
        assert len(content) < 200_000
    assert "&lt;script&gt;" in (first / "index.html").read_text()
    quarantine = pd.read_csv(first / "quarantine.csv")
    assert quarantine[["row", "broken_rules", "id"]].to_numpy().tolist() == [
        [3, "plan: is one of 'basic', 'plus', 'pro'", "c0003"]
    ]


def test_validation_is_silent(judge: Judge, raw: pd.DataFrame) -> None:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        judge(raw)
    assert out.getvalue() == err.getvalue() == ""


def test_heavy_tools_are_imported_by_the_check_only() -> None:
    script = (
        "import sys, pipelines.parts.tabular.project, pipelines.parts.tabular.codecs\n"
        "print([m for m in ('great_expectations', 'pandera', 'sklearn', 'skops', 'xgboost', 'mlflow') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Column("a", "number", levels=("x",)), "levels belong to a category"),
        (lambda: Column("a", "text", low=1), "low, high and mean belong to a number"),
        (lambda: Column("a", "number", missing=0.1), "only makes sense with nullable=True"),
        (lambda: Schema((Column("age", "number"),), target="ago"), "the schema has no column 'ago'; did you mean 'age'?"),
        (lambda: Schema((Column("a", "number"), Column("a", "text"))), "more than once"),
        (lambda: Schema((Column("a", "number"),), target="a", balance=(0, 1)), "needs a target with declared levels"),
        (lambda: Schema((Column("a", "number"),), rules=(Rule("r", ("b",), len),)), "no column 'b'"),
        (lambda: Schema((Column("a", "number"),), target="a").positive, "none is the positive one"),
    ],
)
def test_a_schema_that_cannot_be(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        make()
