"""Bad data stop before features, with everything that is wrong in the message and the report kept as evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines.core.config import Ingest
from pipelines.core.errors import DataError
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.core.settings import Settings
from pipelines.core.validation import Check, Report
from pipelines.projects.churn.simulator import simulate
from pipelines.runners import in_process
from pipelines.stages.validate import faults_of

Spoil = Callable[[pd.DataFrame], pd.DataFrame]
Open = Callable[..., Session]


@pytest.fixture
def churn(settings: Settings, tmp_path: Path) -> Open:
    """``churn(spoil)``: a run of churn on 1,000 simulated rows, spoilt."""

    def session(spoil: Spoil = lambda rows: rows, **overrides: Any) -> Session:
        given, made = tmp_path / "given", tmp_path / "made"
        for folder in (given, made):
            folder.mkdir(exist_ok=True)
        simulate(made, 1_000, 1, {})
        [file] = made.iterdir()
        spoil(pd.read_csv(file, dtype=str, keep_default_na=False)).to_csv(given / file.name, index=False)
        where = {"ingest": {"path": str(given)}, "replay.start": "2024-01-01", "replay.weeks": 1, **overrides}
        return Session(Run(project="churn", profile="sample", overrides=where), settings=settings)

    return session


def stopped(session: Session) -> DataError:
    """The error of a run that stopped in validate."""
    finished: list[str] = []
    with pytest.raises(DataError) as error:
        in_process.run(session, ["features"], on_result=lambda result: finished.append(result.node))
    assert finished == ["ingest"]
    return error.value


def test_good_data_pass(churn: Open) -> None:
    done = in_process.run(churn(), ["validate"])
    session = churn()
    assert session.read(done["validate"].outputs["validation"])["quarantined"] == 0
    assert len(session.read(done["validate"].outputs["cleaned"])) == 1_000
    assert sorted(path.name for path in session.read(done["validate"].outputs["data_docs"]).iterdir()) == [
        "expectations.html",
        "index.html",
        "quarantine.csv",
    ]


def test_validation_is_the_same_bytes_twice(churn: Open) -> None:
    outputs = []
    for _ in range(2):
        session = churn()
        session = Session(session.run.model_copy(update={"fresh": True}), settings=session.settings)
        outputs.append(in_process.run(session, ["validate"])["validate"].outputs)
    assert outputs[0] == outputs[1]


def test_a_broken_table_stops_with_every_failure_and_the_evidence(churn: Open) -> None:
    session = churn(lambda rows: rows.drop(columns="tenure").assign(gender="", Churn="No"))
    error = stopped(session)
    assert "churn: the data of 1,000 rows do not pass validation:" in str(error)
    assert "column 'tenure': column is there: not so" in str(error)
    assert "column 'gender': is not empty: not so (e.g. row 0: ''; row 1: ''; row 2: '')" in str(error)
    assert "column 'Churn': has more than one value: not so (e.g. found 1)" in str(error)
    assert "the champion keeps serving" in str(error)
    assert set(error.outputs) == {"validation", "data_docs"}
    report = Report.model_validate(session.read(error.outputs["validation"]))
    assert len(report.failed) == 3


def test_a_few_bad_rows_are_set_aside(churn: Open) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[17, "tenure"] = "ten"
        return rows

    session = churn(spoil)
    done = in_process.run(session, ["validate"])["validate"]
    assert session.read(done.outputs["validation"])["quarantined"] == 1
    assert len(session.read(done.outputs["cleaned"])) == 999
    quarantine = pd.read_csv(session.read(done.outputs["data_docs"]) / "quarantine.csv")
    assert quarantine[["row", "broken_rules", "tenure"]].to_numpy().tolist() == [[17, "tenure: is a whole number", "ten"]]


def test_too_many_bad_rows_stop(churn: Open) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[:29, "Contract"] = "Decade"
        return rows

    message = str(stopped(churn(spoil)))
    assert "30 rows (3.0%) break row rules, more than the 1.0% that may be set aside" in message
    assert "column 'Contract': is one of 'Month-to-month', 'One year', 'Two year': 30 rows (e.g. row 0: 'Decade';" in message
    in_process.run(churn(spoil, **{"validation.quarantine": 0.05}), ["validate"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty (0 bytes)"),
        (b"tenure,Churn\n1,Yes\n2", "is cut off or not one table: expected 2 columns, got 1"),
        ("tenure,Churn\n1,Schön\n".encode("latin-1"), "expected UTF-8, found byte 0xf6 in line 2"),
        (b"tenure,Churn\n", "has at least 200 rows: not so (e.g. found 0)"),
    ],
)
def test_files_that_cannot_be_read(churn: Open, content: bytes, message: str) -> None:
    session = churn()
    folder = Path(Ingest.model_validate(session.run.overrides["ingest"]).path or "")
    next(folder.iterdir()).write_bytes(content)
    assert message in str(stopped(session))


def test_the_share_is_of_the_rows_that_arrived() -> None:
    broken = Check(tool="t", column="c", rule="is a number", level="row", failures=2, examples=("row 3: 'x'",))
    assert faults_of(Report(rows=200, quarantined=2, checks=(broken,)), 0.01) == []
    assert faults_of(Report(rows=199, quarantined=2, checks=(broken,)), 0.01)[1:] == [
        "column 'c': is a number: 2 rows (e.g. row 3: 'x')"
    ]
    assert faults_of(Report(rows=0, checks=()), 0.01) == []
