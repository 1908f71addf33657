"""Figures are legible files of modest size, their numbers true, their bytes repeatable."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.parts.evaluation import multiclass
from pipelines.parts.evaluation.proportion import wilson
from pipelines.parts.vision import figures

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")
RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(10, size=600)


def probability(sharpness: float) -> np.ndarray:
    odds = np.exp(RANDOM.normal(size=(600, 10)) + sharpness * np.eye(10)[LABEL])
    return odds / odds.sum(axis=1, keepdims=True)


P = {"cnn": probability(2), "resnet": probability(4)}
RIGHT = P["cnn"].argmax(axis=1) == LABEL
GROUPS = {"class=Bag": np.flatnonzero(LABEL == 8).tolist(), "brightness=dark": list(range(150))}
STEPS = [
    {"epoch": e, "rate": 0.1, "loss": 2 / e, "accuracy": 1 - 0.5 / e, "valid_loss": 2.1 / e, "valid_accuracy": 1 - 0.6 / e}
    for e in (1, 2, 3)
]

DRAWN: dict[str, Callable[[Path], None]] = {
    "confusion": lambda folder: figures.confusion(folder, LABEL, P["cnn"], CLASSES, "cnn"),
    "reliability": lambda folder: figures.reliability(folder, LABEL, P),
    "per_class": lambda folder: figures.per_class(folder, LABEL, P, CLASSES),
    "candidates": lambda folder: figures.candidates(folder, LABEL, P, {"cnn": 0.5, "resnet": 4.0}, {"cnn": 0.3}),
    "training": lambda folder: figures.training(folder, {"cnn": STEPS, "frozen": [{"penalty": 1.0, "loss": 0.3}]}),
    "slices": lambda folder: figures.slices(folder, RIGHT, GROUPS, "cnn"),
}


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    with (folder / "plots" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", DRAWN)
def test_each_is_a_png_below_150_kb_with_its_numbers_and_the_same_twice(name: str, tmp_path: Path) -> None:
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        DRAWN[name](tmp_path / attempt)
    picture = (tmp_path / "first" / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert 5_000 < len(picture) < 150_000
    assert picture == (tmp_path / "second" / f"{name}.png").read_bytes()
    assert len(lines(tmp_path / "first", name)) >= 2


def test_confusion_has_one_line_an_image(tmp_path: Path) -> None:
    DRAWN["confusion"](tmp_path)
    rows = lines(tmp_path, "confusion")
    assert sum(row["actual"] == row["predicted"] for row in rows) == RIGHT.sum()
    assert len(rows) == LABEL.size


def test_bins_of_a_model_hold_all_images(tmp_path: Path) -> None:
    DRAWN["reliability"](tmp_path)
    for model in P:
        assert sum(int(row["rows"]) for row in lines(tmp_path, "reliability") if row["model"] == model) == LABEL.size


def test_candidates_have_their_metrics_best_first_and_what_is_unknown_empty(tmp_path: Path) -> None:
    DRAWN["candidates"](tmp_path)
    best, second = lines(tmp_path, "candidates")
    assert (best["model"], second["model"]) == ("resnet", "cnn")
    assert "latency_ms" not in best
    found = multiclass.metrics(LABEL, P["resnet"])
    low, high = wilson(found["accuracy"] * 600, 600)
    assert [float(best[key]) for key in ("accuracy", "low", "high", "ece")] == pytest.approx(
        [found["accuracy"], low, high, found["ece"]], rel=1e-5
    )


def test_only_epochs_are_drawn(tmp_path: Path) -> None:
    DRAWN["training"](tmp_path)
    assert [(row["model"], row["epoch"]) for row in lines(tmp_path, "training")] == [("cnn", "1"), ("cnn", "2"), ("cnn", "3")]


def test_slices_are_shares_of_their_rows(tmp_path: Path) -> None:
    DRAWN["slices"](tmp_path)
    for row in lines(tmp_path, "slices"):
        hits = RIGHT[GROUPS[row["slice"]]]
        assert float(row["accuracy"]) == pytest.approx(hits.mean(), rel=1e-5)
        assert float(row["low"]) <= hits.mean() <= float(row["high"])
        assert int(row["rows"]) == hits.size


def test_few_rows_missing_classes_and_no_curves_still_draw(tmp_path: Path) -> None:
    few = {"cnn": P["cnn"][:3]}
    figures.per_class(tmp_path, LABEL[:3], few, CLASSES)
    figures.reliability(tmp_path, LABEL[:3], few)
    figures.candidates(tmp_path, LABEL[:3], few, {}, {})
    figures.training(tmp_path, {})
    figures.slices(tmp_path, RIGHT[:3], {}, "cnn")
    absent = next(name for number, name in enumerate(CLASSES) if number not in LABEL[:3])
    assert next(row for row in lines(tmp_path, "per_class") if row["class"] == absent)["recall"] == ""


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (0, 0, 0, 1)]
)
def test_wilson_intervals_are_those_of_the_tables(hits: int, rows: int, low: float, high: float) -> None:
    assert wilson(hits, rows) == pytest.approx((low, high), abs=1e-4)
