"""Figures appear whole or not at all, and say the same in the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.parts.reports.drawing import Picture, Plot, table


def test_a_figure_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Plot(tmp_path / "x.png", "", "", ""):
        raise ZeroDivisionError
    assert not (tmp_path / "x.png").exists()


def test_the_same_figure_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        with Picture(tmp_path / name, 2, 1) as figure:
            figure.add_subplot().plot([1, 2], [3, 4])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_numbers_have_six_digits_and_what_is_missing_is_empty(tmp_path: Path) -> None:
    table(tmp_path, "speed", ("model", "ms", "rows"), [("one", 1 / 3, 7), ("two", None, 8)])
    assert (tmp_path / "plots" / "speed.csv").read_text() == "model,ms,rows\none,0.333333,7\ntwo,,8\n"
