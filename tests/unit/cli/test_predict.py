"""Reading rows for `pipelines predict`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.predict import rows_of
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError, DataError

NOTHING = io.StringIO()


def test_json_lines_from_stdin() -> None:
    assert rows_of("-", io.StringIO('{"a": 1}\n\n{"a": 2}\n')) == [{"a": 1}, {"a": 2}]
    assert rows_of("-", NOTHING) == []


def test_broken_lines_are_all_named() -> None:
    with pytest.raises(DataError, match=r"(?s)2 lines cannot be read:.*line 2: .*line 3: "):
        rows_of("-", io.StringIO('{"a": 1}\n{"a"\nnope\n'))


def test_files_by_their_ending(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[[1, 2]]")
    (tmp_path / "rows.jsonl").write_text("[1, 2]\n")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    assert rows_of(str(tmp_path / "rows.json"), NOTHING) == [[1, 2]]
    assert rows_of(str(tmp_path / "rows.jsonl"), NOTHING) == [[1, 2]]
    assert rows_of(str(tmp_path / "rows.csv"), NOTHING) == tmp_path / "rows.csv", "tables are read by the project"
    assert rows_of(str(tmp_path), NOTHING) == tmp_path


def test_what_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file or folder; use - to read JSON lines from stdin"):
        rows_of(str(tmp_path / "gone.csv"), NOTHING)
    (tmp_path / "rows.xls").write_text("")
    with pytest.raises(ConfigError, match=r"expected a file that ends in \.csv, \.parquet, \.json, \.jsonl, a folder or -"):
        rows_of(str(tmp_path / "rows.xls"), NOTHING)
    (tmp_path / "rows.json").write_text("{")
    with pytest.raises(DataError, match=r"rows\.json is not JSON"):
        rows_of(str(tmp_path / "rows.json"), NOTHING)


def test_without_a_model_it_says_how_to_get_one(cli: Any, toy: Definition) -> None:
    for command in (["predict", "toy", "--input", "-"], ["lineage", "toy"], ["reproduce", "toy"]):
        said = cli(*command)
        assert said.code == 2
        assert "toy has no model yet; `pipelines run toy` trains, judges and registers one" in said.err
