"""Whatever is wrong with what churn is given: what a person reads, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines.projects.churn.simulator import customers

ROWS = 400
VALIDATE = ("run", "churn", "--profile", "sample", "--no-track", "--stage", "validate")


@pytest.fixture(scope="module")
def good() -> pd.DataFrame:
    """Customers as they lie in the file."""
    return customers(
        ROWS, 1, dict.fromkeys(("price_rise", "contract_shift", "newcomers", "missing_charges", "fibre_trouble"), 0.0)
    )


def text(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[pd.DataFrame], bytes]:
    return lambda table: change(table.copy()).to_csv(index=False).encode()


BAD_FILES: dict[str, tuple[Callable[[pd.DataFrame], bytes], str]] = {
    "missing column": (
        text(lambda t: t.drop(columns="tenure")),
        "column 'tenure': column is there: not so (e.g. found customerID",
    ),
    "wrong type": (text(lambda t: t.assign(tenure="long")), "column 'tenure': is a whole number in at least half of its cells"),
    "unseen category": (
        text(lambda t: t.assign(Contract="Weekly")),
        "column 'Contract': is one of 'Month-to-month', 'One year', 'Two year': 400 rows (e.g. row 0: 'Weekly'",
    ),
    "all-null column": (text(lambda t: t.assign(MonthlyCharges="")), "column 'MonthlyCharges': is not empty: not so"),
    "empty file": (lambda t: b"", "telco_churn.csv is empty (0 bytes); fetch it again"),
    "header only": (text(lambda t: t.head(0)), "the data set: has at least 200 rows: not so (e.g. found 0)"),
    "truncated": (
        lambda t: t.to_csv(index=False).encode()[:-40],
        "telco_churn.csv is cut off or not one table: expected 21 columns",
    ),
    "wrong encoding": (
        lambda t: t.assign(gender="Frau Müller").to_csv(index=False).encode("latin-1"),
        "telco_churn.csv: expected UTF-8, found byte 0xfc in line 2; save it as UTF-8",
    ),
    "duplicated ids": (text(lambda t: t.assign(customerID="S1")), "column 'customerID': occurs once: 399 rows (e.g. row 1: 'S1'"),
    "no labels": (text(lambda t: t.assign(Churn="")), "column 'Churn': is not empty: not so"),
    "no label column": (text(lambda t: t.drop(columns="Churn")), "column 'Churn': label column is there: not so"),
    "constant target": (text(lambda t: t.assign(Churn="No")), "column 'Churn': has more than one value: not so (e.g. found 1)"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_exit_3_and_named(cli: Any, good: pd.DataFrame, tmp_path: Path, name: str) -> None:
    spoil, message = BAD_FILES[name]
    file = tmp_path / "telco_churn.csv"
    file.write_bytes(spoil(good))
    said = cli(*VALIDATE, "--set", f"ingest.path={file}")
    assert said.code == 3
    assert message in said.err
    assert said.out == ""


def test_good_rows_and_a_column_too_many_pass_and_the_column_is_told(cli: Any, good: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "telco_churn.csv"
    good.assign(Favourite="blue").to_csv(file, index=False)
    said = cli(*VALIDATE, "--set", f"ingest.path={file}", "--json")
    assert said.code == 0
    assert [check for check in said.json["validation"]["checks"] if "Favourite" in str(check)]


def test_a_file_of_another_format_is_exit_3(cli: Any, good: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "telco_churn.parquet"
    good.to_parquet(file)
    said = cli(*VALIDATE, "--set", f"ingest.path={file}")
    assert said.code == 3
    assert "'telco_churn.csv', whose place it takes, is read as .csv; save it in that format first" in said.err


def test_another_file_than_the_catalogs_in_the_mirror_is_exit_3(
    cli: Any, good: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mirror" / "telco_churn" / "WA_Fn-UseC_-Telco-Customer-Churn.csv"
    file.parent.mkdir(parents=True)
    good.to_csv(file, index=False)
    monkeypatch.setenv("PIPELINES_MIRROR", str(tmp_path / "mirror"))
    said = cli(*VALIDATE, "--set", "ingest.source=mirror")
    assert said.code == 3
    assert "sha256" in said.err


@pytest.mark.parametrize(
    ("as_of", "code", "message"),
    [
        ("2024-01-01", 3, "2025-01-06"),
        ("2999-01-01", 2, "as_of is 2999-01-01 00:00 UTC, which is in the future"),
    ],
)
def test_a_date_without_data(cli: Any, as_of: str, code: int, message: str) -> None:
    said = cli(*VALIDATE, "--set", "ingest.source=simulator", "--as-of", as_of)
    assert said.code == code
    assert message in said.err


def test_a_project_that_is_not_there(cli: Any) -> None:
    said = cli("run", "chrun")
    assert said.code == 2
    assert "there is no project 'chrun'; did you mean 'churn'?" in said.err
