"""Figures of binary classifiers: PNG for people, CSV with the same numbers for `dvc plots`. Test rows only.

Each function draws `<name>.png` into `folder` and writes `plots/<name>.csv` under it. Same numbers, same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.parts.reports.drawing import COLOURS, Plot, table
from pipelines.parts.tabular import metrics

if TYPE_CHECKING:
    from pipelines.parts.tabular.metrics import Vector

POINTS = 200
"""Most points kept of one curve."""

Scores = Mapping[str, "Vector"]
"""Probabilities by model, on the same rows."""


def roc(folder: Path, y: Vector, scores: Scores) -> None:
    """True against false positive rate, by model."""
    curves = {name: roc_points(y, p) for name, p in scores.items()}
    areas = {name: metrics.ranking(y, p)["roc_auc"] for name, p in scores.items()}
    with Plot(folder / "roc.png", "ROC on the test rows", "false positive rate", "true positive rate") as axes:
        for (name, points), colour in zip(curves.items(), COLOURS, strict=False):
            axes.plot(*points, label=f"{name} ({areas[name]:.3f})", color=colour)
        axes.plot([0, 1], [0, 1], ":", color="grey", label="chance")
        axes.legend(loc="lower right", title="area under the curve")
    table(folder, "roc", ("model", "fpr", "tpr"), _long(curves))


def precision_recall(folder: Path, y: Vector, scores: Scores) -> None:
    """Precision against recall, by model."""
    curves = {name: precision_recall_points(y, p) for name, p in scores.items()}
    areas = {name: metrics.ranking(y, p)["pr_auc"] for name, p in scores.items()}
    title = "Precision and recall on the test rows"
    with Plot(folder / "precision_recall.png", title, "recall", "precision") as axes:
        for (name, points), colour in zip(curves.items(), COLOURS, strict=False):
            axes.plot(*points, label=f"{name} ({areas[name]:.3f})", color=colour)
        axes.axhline(float(np.mean(y)), linestyle=":", color="grey", label="chance")
        axes.set_ylim(0, 1.02)
        axes.legend(loc="upper right", title="average precision")
    table(folder, "precision_recall", ("model", "recall", "precision"), _long(curves))


def calibration(folder: Path, y: Vector, scores: Scores) -> None:
    """Observed rate against predicted probability in ten equally filled bins, by model."""
    bins = {name: metrics.reliability(y, p) for name, p in scores.items()}
    title = "Calibration on the test rows: does 30 % mean 30 %?"
    with Plot(folder / "calibration.png", title, "predicted probability", "observed rate") as axes:
        axes.plot([0, 1], [0, 1], ":", color="grey", label="perfect")
        for (name, groups), colour in zip(bins.items(), COLOURS, strict=False):
            axes.plot([g["predicted"] for g in groups], [g["observed"] for g in groups], "o-", label=name, color=colour, ms=4)
        axes.legend(loc="upper left")
    rows = [(name, g["predicted"], g["observed"], g["rows"]) for name, groups in bins.items() for g in groups]
    table(folder, "calibration", ("model", "predicted", "observed", "rows"), rows)


def confusion(folder: Path, y: Vector, flagged: Vector, labels: tuple[str, str], name: str) -> None:
    """How many rows of each class the decisions sent where; `labels` are the words for 0 and 1."""
    counts = np.array([[np.count_nonzero((y == i) & (flagged == bool(j))) for j in (0, 1)] for i in (0, 1)])
    with Plot(folder / "confusion.png", f"Decisions of {name} on the test rows", "predicted", "actual", size=4.6) as axes:
        axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks([0, 1], labels)
        axes.set_yticks([0, 1], labels, rotation=90, va="center")
        axes.grid(visible=False)
        for i, j in np.ndindex(2, 2):
            share = counts[i, j] / max(counts[i].sum(), 1)
            axes.text(j, i, f"{counts[i, j]:,}\n{share:.0%}", ha="center", va="center", color="white" if share > 0.6 else "black")
    rows = [(labels[a], labels[int(b)]) for a, b in zip(np.asarray(y, dtype=int), flagged, strict=True)]
    table(folder, "confusion", ("actual", "predicted"), rows)


def utility(folder: Path, curves: Mapping[str, tuple[Vector, Vector]], chosen: Mapping[str, float], what: str) -> None:
    """What each decision threshold is worth, by model; `chosen` marks the thresholds picked on validation rows."""
    with Plot(
        folder / "profit.png", f"{what[0].upper()}{what[1:]} by decision threshold", "act from this probability on", what
    ) as axes:
        for (name, (thresholds, values)), colour in zip(curves.items(), COLOURS, strict=False):
            axes.plot(thresholds, values, label=name, color=colour)
            if name in chosen:
                axes.plot(chosen[name], np.interp(chosen[name], thresholds, values), "o", color=colour)
        axes.axhline(0, linestyle=":", color="grey", label="no action at all")
        axes.legend(title="point: threshold chosen\non the validation rows")
    table(folder, "profit", ("model", "threshold", "profit"), _long(curves))


def importance(folder: Path, sizes: Sequence[tuple[str, float]], name: str, most: int = 12) -> None:
    """Mean absolute Shapley value per concept or column, the largest `most` of them."""
    top = list(sizes)[:most][::-1]
    title = f"What moves {name}'s probability (mean |SHAP|)"
    with Plot(folder / "shap_importance.png", title, "points of probability", "", wide=True) as axes:
        axes.barh([label for label, _ in top], [100 * size for _, size in top], color=COLOURS[0])
        axes.grid(visible=False, axis="y")
    table(folder, "shap_importance", ("feature", "importance"), sizes)


def learning_curve(folder: Path, curves: Mapping[str, Sequence[Mapping[str, float]]], metric: str) -> None:
    """Score on the rows fitted on (dashed) and on validation rows, against the number of training rows."""
    drawn = {name: steps for name, steps in curves.items() if steps}
    title = "Would more data help? (dashed: on the rows fitted on)"
    with Plot(folder / "learning_curve.png", title, "training rows", metric) as axes:
        for (name, steps), colour in zip(drawn.items(), COLOURS, strict=False):
            sizes = [step["rows"] for step in steps]
            axes.plot(sizes, [step["valid"] for step in steps], "o-", label=name, color=colour, ms=4)
            axes.plot(sizes, [step["train"] for step in steps], "--", color=colour, alpha=0.6)
        axes.legend(loc="best")
    rows = [(name, step["rows"], step["train"], step["valid"]) for name, steps in drawn.items() for step in steps]
    table(folder, "learning_curve", ("model", "rows", "train", "valid"), rows)


def roc_points(y: Vector, p: Vector) -> tuple[Vector, Vector]:
    """False and true positive rates from the highest threshold to the lowest, thinned to `POINTS`."""
    tp, fp = _counts(y, p)
    x, up = np.append(0.0, fp / max(fp[-1], 1)), np.append(0.0, tp / max(tp[-1], 1))
    return x[_thin(x.size)], up[_thin(x.size)]


def precision_recall_points(y: Vector, p: Vector) -> tuple[Vector, Vector]:
    """Recalls and precisions from the highest threshold to the lowest, thinned to `POINTS`."""
    tp, fp = _counts(y, p)
    keep = _thin(tp.size)
    return (tp / max(tp[-1], 1))[keep], (tp / (tp + fp))[keep]


def _counts(y: Vector, p: Vector) -> tuple[Vector, Vector]:
    """True and false positives at each distinct threshold, from the highest to the lowest."""
    order = np.argsort(-p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), p.size - 1)
    tp = np.cumsum(np.asarray(y, dtype=float)[order])[last]
    return tp, last + 1 - tp


def _thin(size: int) -> Vector:
    return np.unique(np.linspace(0, size - 1, min(size, POINTS)).round().astype(int))


def _long(curves: Mapping[str, tuple[Vector, Vector]]) -> list[tuple[Any, ...]]:
    return [(name, float(a), float(b)) for name, points in curves.items() for a, b in zip(*points, strict=True)]
