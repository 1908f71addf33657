"""A table that is tried piece by piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.faults import __main__ as program

MLFLOW = ("kill -9 of mlflow while a candidate trains", "sqlite")
EIGHT = ("8 projects started at once", "postgres")


def test_rows_that_were_tried_take_the_place_of_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "faults.md"
    page.write_text(f"above\n\n{program.MARK}\n{program.MARK}\n\nbelow | x |\n")
    monkeypatch.setattr(program, "PAGE", page)
    program.write({EIGHT: f"| {' | '.join(EIGHT)} | 1 |"})
    program.write({MLFLOW: f"| {' | '.join(MLFLOW)} | 1 |"})
    program.write({EIGHT: f"| {' | '.join(EIGHT)} | 2 |"})
    assert program.written(page.read_text()) == {
        MLFLOW: f"| {' | '.join(MLFLOW)} | 1 |",
        EIGHT: f"| {' | '.join(EIGHT)} | 2 |",
    }
    told = page.read_text()
    assert told.startswith("above\n")
    assert told.endswith("below | x |\n")
    assert told.count("| fault | database |") == 1


def test_what_the_page_says_was_tried_is_what_the_program_tries() -> None:
    rows = program.written(program.PAGE.read_text(encoding="utf-8"))
    assert {what for what, _ in rows} <= set(program.FAULTS)
