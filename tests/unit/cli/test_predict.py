"""Reading rows for `pipelines predict`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pipelines.cli.output import opened
from pipelines.cli.predict import _show, rows_of
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError, DataError
from pipelines.parts.tabular.rows import given
from pipelines.parts.tabular.schema import Column, Schema

NOTHING = io.BytesIO()
PNG = b"\x89PNG\r\n\x1a\n\0\0"


def test_json_lines_from_stdin() -> None:
    assert rows_of("-", io.BytesIO(b'{"a": 1}\n\n{"a": 2}\n')) == [{"a": 1}, {"a": 2}]
    assert rows_of("-", NOTHING) == []


def test_a_list_of_rows_from_stdin_is_the_list_a_json_file_holds() -> None:
    rows = [{"a": 1}, {"a": 2}]
    for text in (json.dumps(rows), json.dumps(rows, indent=1)):
        assert rows_of("-", io.BytesIO(text.encode())) == rows
    assert rows_of("-", io.BytesIO(b"[]")) == []
    assert rows_of("-", io.BytesIO(b"[[0, 1], [2, 3]]\n")) == [[[0, 1], [2, 3]]], "a row that is a list stays one"


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_the_bytes_of_one_table_from_stdin(ending: str) -> None:
    frame = pd.DataFrame({"x": ["1", "2"], "id": ["a", "[b]"]})
    table = io.BytesIO()
    if ending == "parquet":
        frame.to_parquet(table)
    else:
        frame.to_csv(table, index=False, compression="gzip" if ending == "csv.gz" else None)
    found = given(rows_of("-", io.BytesIO(table.getvalue())), Schema((Column("x", "number"),)))
    assert found.to_dict("records") == [{"x": "1", "id": "a"}, {"x": "2", "id": "[b]"}]


def test_a_broken_table_from_stdin_says_what_is_wrong() -> None:
    schema = Schema((Column("x", "number"),))
    for content, message in (
        (b"x,y\n1,2\n3\n", "expected 2 columns, got 1: 3; send the whole file"),
        ("x,y\nGröße,2\n".encode("latin-1"), "expected UTF-8, found byte 0xf6 in line 2; save it as UTF-8"),
        (b"PAR1cut", "is not a whole parquet file: .* send the whole file"),
    ):
        with pytest.raises(DataError, match=message):
            given(rows_of("-", io.BytesIO(content)), schema)


def test_broken_lines_are_all_named() -> None:
    with pytest.raises(DataError, match=r"(?s)2 lines cannot be read:.*line 2: .*line 3: "):
        rows_of("-", io.BytesIO(b'{"a": 1}\n{"a"\nnope\n'))


def test_files_by_their_ending(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[[1, 2]]")
    (tmp_path / "rows.jsonl").write_text("[1, 2]\n")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    assert rows_of(str(tmp_path / "rows.json"), NOTHING) == [[1, 2]]
    assert rows_of(str(tmp_path / "rows.jsonl"), NOTHING) == [[1, 2]]
    assert rows_of(str(tmp_path / "rows.csv"), NOTHING) == tmp_path / "rows.csv", "tables are read by the project"
    assert rows_of(str(tmp_path), NOTHING) == tmp_path


def test_what_is_not_json_is_for_the_project_to_read(tmp_path: Path) -> None:
    (tmp_path / "shirt.PNG").write_bytes(PNG)
    assert rows_of(str(tmp_path / "shirt.PNG"), NOTHING) == tmp_path / "shirt.PNG"
    for content in (PNG, "Größe".encode("latin-1"), "{}".encode("utf-16")):
        assert rows_of("-", io.BytesIO(content)) == content


def test_a_table_refuses_an_image(tmp_path: Path) -> None:
    schema = Schema((Column("x", "number"),))
    with pytest.raises(
        DataError, match=r"expected rows as JSON lines, CSV \(UTF-8\) or parquet; found 10 bytes that are none of these"
    ):
        given(rows_of("-", io.BytesIO(PNG)), schema)
    (tmp_path / "shirt.png").write_bytes(PNG)
    with pytest.raises(
        DataError, match=r"shirt\.png: expected a file that ends in \.csv, \.gz, \.parquet, \.json; save it as one"
    ):
        given(rows_of(str(tmp_path / "shirt.png"), NOTHING), schema)


def test_a_folder_of_tables_is_one_table(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.csv").write_text(f"x\n{number}\n")
    assert given(rows_of(str(tmp_path), NOTHING), Schema((Column("x", "number"),)))["x"].tolist() == ["1", "2"]
    (tmp_path / "3.PARQUET").write_bytes(pd.DataFrame({"x": ["3"]}).to_parquet())
    assert given(rows_of(str(tmp_path / "3.PARQUET"), NOTHING), Schema((Column("x", "number"),)))["x"].tolist() == ["3"]
    assert given(rows_of(str(tmp_path), NOTHING), Schema((Column("x", "number"),)))["x"].tolist() == ["1", "2", "3"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected a table .* found nothing; give a folder with such files, or one file"):
        given(rows_of(str(tmp_path / "empty"), NOTHING), Schema((Column("x", "number"),)))


def test_what_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file or folder; use - to read from stdin"):
        rows_of(str(tmp_path / "gone.csv"), NOTHING)
    for nothing in ("", " "):
        with pytest.raises(ConfigError, match="--input is empty; expected a file, a folder, or - to read from stdin"):
            rows_of(nothing, NOTHING)
    (tmp_path / "latin.jsonl").write_bytes('{"a": "Größe"}'.encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.jsonl is not JSON lines: expected UTF-8, .*; save it as UTF-8"):
        rows_of(str(tmp_path / "latin.jsonl"), NOTHING)
    (tmp_path / "rows.json").write_text("{")
    with pytest.raises(DataError, match=r"rows\.json is not JSON"):
        rows_of(str(tmp_path / "rows.json"), NOTHING)


def test_without_a_model_it_says_how_to_get_one(cli: Any, toy: Definition) -> None:
    for command in (["predict", "toy", "--input", "-"], ["lineage", "toy"], ["reproduce", "toy"]):
        said = cli(*command)
        assert said.code == 2
        assert "toy has no model yet; `pipelines run toy` trains, judges and registers one" in said.err


def test_ids_and_texts_of_peoples_data_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """`[b12]` would be a style and vanish, `[/A]` would end one that never began, `:x:` would become a picture."""
    answers: list[dict[str, Any]] = [{"id": "[/A]", "why": ["[b12] low", ":x:"]}, {"id": "[b12]", "why": []}]
    with opened(as_json=False):
        _show("toy", SimpleNamespace(version=1, candidate="linear"), answers)
    shown = capsys.readouterr().out
    assert "[/A]" in shown
    assert "[b12] low" in shown
    assert ":x:" in shown
    assert shown.count("[b12]") == 2
