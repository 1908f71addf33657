"""Every way a file can be broken is told in a sentence that names the file, the place and the remedy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipelines.core.errors import DataError
from pipelines.parts.tabular.loading import read_folder, read_table

CSV = "id,age\na,1\nb,2\nc,3\n"


def broken(tmp_path: Path, name: str, content: bytes) -> str:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_table(file)
    assert str(tmp_path) not in str(error.value), "a message names the file, not the machine"
    return str(error.value)


def test_cells_of_a_csv_stay_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,age,note\n007, ,"two\nlines"\n8,1.0,\n')
    frame = read_table(tmp_path / "a.csv")
    assert frame.to_dict("list") == {"id": ["007", "8"], "age": [" ", "1.0"], "note": ["two\nlines", ""]}


def test_files_of_a_folder_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_text("a\n3\n")
    (tmp_path / "1.csv").write_text("a\n1\n2\n")
    (tmp_path / "readme.txt").write_text("no table")
    assert read_folder(tmp_path)["a"].tolist() == ["1", "2", "3"]


def test_folder_without_a_table(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("no table")
    with pytest.raises(DataError, match=r"expected a table \(\*\.csv.*found readme\.txt; check what ingest fetched"):
        read_folder(tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_table(tmp_path / "none.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.json"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    assert broken(tmp_path, name, b"") == f"{name} is empty (0 bytes); fetch it again"


def test_truncated_csv(tmp_path: Path) -> None:
    message = broken(tmp_path, "a.csv", CSV.encode()[:-3])
    assert message == "a.csv is cut off or not one table: expected 2 columns, got 1: c; fetch it again"


def test_truncated_inside_quotes(tmp_path: Path) -> None:
    assert "a.csv" in broken(tmp_path, "a.csv", b'id,age\na,1\n"b')


def test_row_with_too_many_cells(tmp_path: Path) -> None:
    assert "expected 2 columns, got 3" in broken(tmp_path, "a.csv", b"id,age\na,1,9\n")


def test_wrong_encoding(tmp_path: Path) -> None:
    message = broken(tmp_path, "a.csv", "id,age\na,1\nZoë,2\n".encode("latin-1"))
    assert message == "a.csv: expected UTF-8, found byte 0xeb in line 3; save it as UTF-8 (it may be Latin-1 or Windows-1252)"


def test_column_twice(tmp_path: Path) -> None:
    assert "columns 'age' occur more than once" in broken(tmp_path, "a.csv", b"age,age\n1,2\n")


def test_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    assert list(read_table(tmp_path / "a.csv").columns) == ["id", "age"]


def test_truncated_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"a": range(100)}).to_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    assert len(read_table(tmp_path / "whole.parquet")) == 100
    message = broken(tmp_path, "a.parquet", content[: len(content) // 2])
    assert message.startswith("a.parquet is not a whole parquet file:")
    assert message.endswith("it was cut off, fetch it again")


@pytest.mark.parametrize("content", [b"{", b"[1, 2]", b'"a"'])
def test_json_that_is_no_list_of_rows(tmp_path: Path, content: bytes) -> None:
    assert "expected a list of rows" in broken(tmp_path, "a.json", content)
