"""Figures of classifiers of images: PNG for people, CSV with the same numbers for `dvc plots`. Test rows only.

Each function draws `<name>.png` into `folder` and writes `plots/<name>.csv` under it. Same numbers, same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.parts.evaluation import multiclass
from pipelines.parts.evaluation.proportion import wilson
from pipelines.parts.reports.drawing import Picture, colours, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST = 10
"""Images in a bin from which on its share of right answers is drawn."""

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]


def confusion(folder: Path, label: Labels, probability: Probabilities, classes: Sequence[str], name: str) -> None:
    """How many images of each class were taken for which, and their share of the class. The table has one line an image."""
    counts = multiclass.confusion(label, probability)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.62 * len(classes)
    with Picture(folder / "confusion.png", side + 0.3, side) as figure:
        axes = figure.add_subplot()
        axes.set(title=f"What {name} takes for what", xlabel="predicted", ylabel="actual")
        axes.imshow(shares**0.5, cmap="Blues", vmin=0, vmax=1)  # the root shows what is rare
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), classes)
        for i, j in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[i, j] > 0.4 else "black"
            text = f"{counts[i, j]:,}\n{shares[i, j]:.0%}" if i == j else f"{counts[i, j]:,}"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    rows = [(classes[a], classes[b]) for a, b in zip(label, probability.argmax(axis=1), strict=True)]
    table(folder, "confusion", ("actual", "predicted"), rows)


def reliability(folder: Path, label: Labels, probabilities: Mapping[str, Probabilities]) -> None:
    """Share of right answers against confidence in equally wide bins, by model; below it, how many images each bin holds.

    A bin with fewer than `FEWEST` images is noise: it is in the table and the lower plot, not in the upper one.
    """
    bins = {name: multiclass.reliability(label, probability) for name, probability in probabilities.items()}
    errors = {name: multiclass.metrics(label, probability)["ece"] for name, probability in probabilities.items()}
    edges = np.linspace(0, 1, multiclass.BINS + 1)
    with Picture(folder / "reliability.png", 6.5, 6.2) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], ":", color="grey", label="as sure as right")
        for name, colour in colours(bins).items():
            found, legend = bins[name], f"{name} (ECE {errors[name]:.3f})"
            shown = found["rows"] >= FEWEST
            upper.plot(found["confidence"][shown], found["accuracy"][shown], "o-", label=legend, color=colour, ms=4)
            lower.stairs(found["rows"], edges, color=colour, linewidth=1.5)
        upper.set(
            title="Calibration on the test images: is 80 % sure right 80 % of the time?", ylabel="share right", ylim=(0, 1.02)
        )
        upper.legend(loc="upper left", title=f"bins of at least {FEWEST} images")
        lower.set(xlabel="confidence in the class said", ylabel="images", yscale="symlog", xlim=(0, 1), ylim=(0, None))
        for axes in (upper, lower):
            axes.grid(visible=True, alpha=0.3)
    rows = [
        (name, float(confidence), float(right), int(count))
        for name, found in bins.items()
        for confidence, right, count in zip(found["confidence"], found["accuracy"], found["rows"], strict=True)
        if count
    ]
    table(folder, "reliability", ("model", "confidence", "accuracy", "rows"), rows)


def per_class(folder: Path, label: Labels, probabilities: Mapping[str, Probabilities], classes: Sequence[str]) -> None:
    """Recall and precision of each class, by model; classes from the one recalled worst by the first model."""
    rates = {name: multiclass.per_class(label, probability) for name, probability in probabilities.items()}
    order = np.argsort(-np.nan_to_num(next(iter(rates.values()))["recall"], nan=-1), kind="stable")  # worst on top
    thick = 0.8 / len(rates)
    with Picture(folder / "per_class.png", 9, 1.3 + len(classes) * max(0.34, 0.13 * len(rates))) as figure:
        figure.suptitle("Each class on the test images")
        both = figure.subplots(1, 2, sharey=True)
        lowest = min(float(np.nanmin(rate[kind])) for rate in rates.values() for kind in ("recall", "precision"))
        for axes, kind in zip(both, ("recall", "precision"), strict=True):
            for number, (name, colour) in enumerate(colours(rates).items()):
                places = np.arange(len(classes)) + thick * ((len(rates) - 1) / 2 - number)
                axes.barh(places, np.nan_to_num(rates[name][kind][order]), thick, label=name, color=colour)
            axes.set(title=kind, xlim=(np.floor(10 * min(lowest, 0.9)) / 10, 1))
            axes.set_yticks(range(len(classes)), [classes[i] for i in order])
            axes.grid(visible=True, alpha=0.3, axis="x")
        figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(len(rates), 5), frameon=False)
    rows = [
        (name, classes[i], *(_number(rate[kind][i]) for kind in ("precision", "recall", "f1")), int(rate["rows"][i]))
        for name, rate in rates.items()
        for i in range(len(classes))
    ]
    table(folder, "per_class", ("model", "class", "precision", "recall", "f1", "rows"), rows)


def candidates(
    folder: Path,
    label: Labels,
    probabilities: Mapping[str, Probabilities],
    mb: Mapping[str, float],
    latency_ms: Mapping[str, float],
) -> None:
    """Models side by side, best accuracy first: accuracy drawn with its 95 % interval (Wilson), the rest as numbers.

    `mb` is the size of the weights and `latency_ms` the median time of one image, where they are known.
    """
    scores = {name: multiclass.metrics(label, probability) for name, probability in probabilities.items()}
    ranked = sorted(scores, key=lambda name: -scores[name]["accuracy"])
    spans = [wilson(scores[name]["accuracy"] * len(label), len(label)) for name in ranked]
    lines = [
        [*(scores[name][key] for key in ("accuracy", "top3", "worst_recall", "ece")), mb.get(name), latency_ms.get(name)]
        for name in ranked
    ]
    with Picture(folder / "candidates.png", 11, 1.3 + 0.38 * len(ranked)) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.35), sharey=True)
        drawn = colours(probabilities)
        for place, (name, span, line) in enumerate(zip(ranked, spans, lines, strict=True)):
            left.plot(span, (place, place), color=drawn[name], linewidth=2)
            left.plot(line[0], place, "o", color=drawn[name])
        left.set_yticks(range(len(ranked)), ranked)
        left.set(title="accuracy on the test images, 95 % interval", ylim=(len(ranked) - 0.4, -0.6))
        left.grid(visible=True, alpha=0.3, axis="x")
        _cells(right, lines)
    # times differ from run to run: they are in the picture, while the table is compared when a model is reproduced
    numbers = [(name, *span, *line[:-1]) for name, span, line in zip(ranked, spans, lines, strict=True)]
    header = ("model", "low", "high", "accuracy", "top3", "worst_recall", "ece", "model_mb")
    table(folder, "candidates", header, numbers)


def _cells(axes: Axes, lines: Sequence[Sequence[float | None]]) -> None:
    """The numbers of `candidates`, a column each, a line a model."""
    heads = {
        "accuracy": ".4f",
        "top 3": ".4f",
        "worst\nrecall": ".3f",
        "ECE": ".3f",
        "weights\nMB": ",.2f",
        "one image\nms": ",.2f",
    }
    axes.set_axis_off()
    axes.set_xlim(0, len(heads))
    for column, (head, how) in enumerate(heads.items(), start=1):
        above = axes.get_xaxis_transform()
        axes.text(column, 1.03, head, ha="right", va="bottom", weight="bold", fontsize=9, transform=above)
        for place, line in enumerate(lines):
            cell = line[column - 1]
            axes.text(column, place, "–" if cell is None else format(cell, how), ha="right", va="center", fontsize=9.5)


def training(folder: Path, curves: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Accuracy and loss by epoch on validation images, and dashed on those trained on; models without epochs are left out.

    Training images are augmented, and their loss may be smoothed, so that they can look harder than validation images.
    """
    drawn = {name: steps for name, steps in curves.items() if steps and "epoch" in steps[0]}
    with Picture(folder / "training.png", 10, 4.4) as figure:
        for axes, kind in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
            for name, steps in drawn.items():
                colour = colours(curves)[name]
                epochs, mark = [step["epoch"] for step in steps], "o" if len(steps) == 1 else ""
                axes.plot(epochs, _column(steps, f"valid_{kind}"), marker=mark, label=name, color=colour)
                axes.plot(epochs, _column(steps, kind), "--", marker=mark, color=colour, alpha=0.6)
            axes.set(title=f"{kind} on the validation images", xlabel="epoch")
            axes.grid(visible=True, alpha=0.3)
            axes.xaxis.get_major_locator().set_params(integer=True)
            if drawn:
                axes.legend(title="dashed: on images trained on")
    names = ("valid_accuracy", "valid_loss", "accuracy", "loss")
    rows = [(name, int(step["epoch"]), *(step.get(key) for key in names)) for name, steps in drawn.items() for step in steps]
    table(folder, "training", ("model", "epoch", *names), rows)


def slices(folder: Path, right: NDArray[np.bool_], groups: Mapping[str, Sequence[int]], name: str) -> None:
    """Share of right answers with its 95 % interval (Wilson) on each group of the test images, named `kind=value`.

    `right` says of each image whether the model has it right; the dotted line is all of them.
    """
    found = {group: right[np.asarray(rows, dtype=np.intp)] for group, rows in groups.items()}
    spans = {group: wilson(hits.sum(), hits.size) for group, hits in found.items()}
    shown = list(found)[::-1]
    with Picture(folder / "slices.png", 7.5, 1.2 + 0.27 * len(shown)) as figure:
        axes = figure.add_subplot()
        kinds = colours(dict.fromkeys(group.partition("=")[0] for group in found))
        for place, group in enumerate(shown):
            colour = kinds[group.partition("=")[0]]
            axes.plot(spans[group], (place, place), color=colour, linewidth=2)
            axes.plot(found[group].mean(), place, "o", color=colour)
        axes.axvline(right.mean(), linestyle=":", color="grey")
        axes.set_yticks(range(len(shown)), [f"{group.partition('=')[2] or group} ({found[group].size:,})" for group in shown])
        axes.set(title=f"{name} on parts of the test images (dotted: all)", xlabel="accuracy, 95 % interval")
        axes.grid(visible=True, alpha=0.3, axis="x")
    rows = [(group, float(hits.mean()), *spans[group], hits.size) for group, hits in found.items()]
    table(folder, "slices", ("slice", "accuracy", "low", "high", "rows"), rows)


def _number(cell: float) -> float | None:
    """For a table, where an undefined cell is empty."""
    return None if np.isnan(cell) else float(cell)


def _column(steps: Iterable[Mapping[str, float]], key: str) -> list[float]:
    return [step.get(key, float("nan")) for step in steps]
