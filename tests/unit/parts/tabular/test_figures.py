"""Figures are legible files of modest size, their numbers true, their bytes repeatable."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from pipelines.parts.tabular import figures, metrics

RNG = np.random.default_rng(0)
P = RNG.random(1500).round(3)
Y = (RNG.random(1500) < P).astype(int)
SCORES = {"one": P, "two": RNG.random(1500)}
CURVE = [{"rows": 10.0, "train": 0.9, "valid": 0.7}, {"rows": 20.0, "train": 0.85, "valid": 0.8}]

DRAWN: dict[str, Callable[[Path], None]] = {
    "roc": lambda folder: figures.roc(folder, Y, SCORES),
    "precision_recall": lambda folder: figures.precision_recall(folder, Y, SCORES),
    "calibration": lambda folder: figures.calibration(folder, Y, SCORES),
    "confusion": lambda folder: figures.confusion(folder, Y, P > 0.5, ("stays", "leaves"), "one"),
    "profit": lambda folder: figures.utility(folder, {"one": (np.array([0.1, 0.9]), np.array([1.0, 2.0]))}, {"one": 0.5}, "USD"),
    "shap_importance": lambda folder: figures.importance(folder, [("contract", 0.2), ("age", 0.1)], "one"),
    "learning_curve": lambda folder: figures.learning_curve(folder, {"one": CURVE, "two": []}, "ROC-AUC"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_each_is_a_png_below_100_kb_with_its_numbers_and_the_same_twice(name: str, tmp_path: Path) -> None:
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        DRAWN[name](tmp_path / attempt)
    picture = (tmp_path / "first" / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert 5_000 < len(picture) < 100_000
    assert picture == (tmp_path / "second" / f"{name}.png").read_bytes()
    assert len(table(tmp_path / "first", name)) >= 2


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    with (folder / "plots" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_roc_points_lie_on_scikit_learns_curve() -> None:
    x, up = figures.roc_points(Y, P)
    fpr, tpr, _ = roc_curve(Y, P, drop_intermediate=False)
    assert x.size == figures.POINTS
    assert {(round(a, 9), round(b, 9)) for a, b in zip(x, up, strict=True)} <= {
        (round(a, 9), round(b, 9)) for a, b in zip(fpr, tpr, strict=True)
    }
    assert (x[0], up[0], x[-1], up[-1]) == (0, 0, 1, 1)


def test_precision_recall_points_end_at_the_base_rate() -> None:
    recall, precision = figures.precision_recall_points(Y, P)
    assert recall[-1] == 1
    assert precision[-1] == pytest.approx(Y.mean())


def test_confusion_rows_are_the_rows(tmp_path: Path) -> None:
    DRAWN["confusion"](tmp_path)
    rows = table(tmp_path, "confusion")
    assert len(rows) == Y.size
    hits = sum(row == {"actual": "leaves", "predicted": "leaves"} for row in rows)
    assert hits / Y.sum() == pytest.approx(metrics.decisions(Y, P > 0.5)["recall"])


def test_one_class_and_few_rows_still_draw(tmp_path: Path) -> None:
    figures.roc(tmp_path, np.zeros(3), {"one": np.array([0.1, 0.2, 0.3])})
    figures.calibration(tmp_path, np.zeros(3), {"one": np.array([0.1, 0.2, 0.3])})
    assert (tmp_path / "roc.png").exists()
