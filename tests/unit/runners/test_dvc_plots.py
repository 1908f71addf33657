"""Which column goes where."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.runners.dvc_plots import arrange


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def write(source: Path, name: str, *lines: str) -> None:
    (source / name).write_text("\n".join(lines) + "\n")


def test_a_series_becomes_a_file_and_a_line(source: Path, tmp_path: Path) -> None:
    write(source, "roc.csv", "model,fpr,tpr", "one,0,0", "one,1,1", "a/b,0,0.5")
    assert arrange(source, tmp_path / "plots") == [
        {"roc": {"template": "linear", "x": "fpr", "y": {"plots/roc/a-b.csv": "tpr", "plots/roc/one.csv": "tpr"}}}
    ]
    assert (tmp_path / "plots" / "roc" / "one.csv").read_text() == "fpr,tpr\n0,0\n1,1\n"


def test_several_values_are_several_lines_but_counts_are_not(source: Path, tmp_path: Path) -> None:
    write(source, "curve.csv", "step,train,valid,rows", "1,0.5,0.4,100")
    assert arrange(source, tmp_path / "plots") == [
        {"curve": {"template": "linear", "x": "step", "y": {"plots/curve/curve.csv": ["train", "valid"]}}}
    ]


def test_names_with_one_number_are_bars(source: Path, tmp_path: Path) -> None:
    write(source, "importance.csv", "feature,gain", "tenure,0.2")
    assert arrange(source, tmp_path / "plots") == [
        {"importance": {"template": "bar_horizontal", "x": "gain", "y": {"plots/importance.csv": "feature"}}}
    ]


def test_pairs_of_words_are_counted(source: Path, tmp_path: Path) -> None:
    write(source, "confusion.csv", "actual,predicted", "stays,leaves")
    assert arrange(source, tmp_path / "plots") == [
        {"confusion": {"template": "confusion", "x": "actual", "y": {"plots/confusion.csv": "predicted"}}}
    ]


@pytest.mark.parametrize("lines", [("",), ("a,b",), ("candidate,metric,value,low,high", "x,auc,1,0,1")])
def test_what_cannot_be_plotted_is_copied(source: Path, tmp_path: Path, lines: tuple[str, ...]) -> None:
    write(source, "other.csv", *lines)
    assert arrange(source, tmp_path / "plots") == []
    assert (tmp_path / "plots" / "other.csv").is_file()
