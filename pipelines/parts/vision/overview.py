"""Pictures of what a data set of images is like. Each function draws one PNG file; same images, same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.parts.reports.drawing import COLOURS, Picture
from pipelines.parts.vision.images import Images

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASSES = 20
"""Classes shown; of more, the first ones."""
SAMPLES = 12
"""Images shown of each class."""
SHOWN = {"brightness": "mean grey level", "contrast": "deviation of the grey levels", "sharpness": "variance of the Laplacian"}
BINS = 40


def balance(folder: Path, facts: Sequence[Mapping[str, Any]], splits: Sequence[str]) -> None:
    """`classes.png`: images of each class, by split."""
    shown = facts[:CLASSES]
    with Picture(folder / "classes.png", 7.6, 1.2 + 0.32 * len(shown)) as figure:
        axes = figure.add_subplot()
        names = [one["class"] for one in shown]
        left = np.zeros(len(shown))
        for split, colour in zip(splits, COLOURS, strict=False):
            counts = np.array([one[split] for one in shown])
            axes.barh(names, counts, left=left, label=split, color=colour)
            left += counts
        axes.invert_yaxis()
        axes.set_xlabel("images")
        axes.grid(visible=True, axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.set_title("Classes by split", loc="left", pad=24)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(splits), frameon=False, borderaxespad=0.1)


def samples(folder: Path, images: Images, classes: Sequence[str], seed: int) -> None:
    """`samples.png`: a row of images drawn at random from each class."""
    random = np.random.default_rng(seed)
    shown = classes[:CLASSES]
    channels, height, width = images.shape
    gap = 1 + max(height, width) // 24
    board = np.full((channels, len(shown) * (height + gap) - gap, SAMPLES * (width + gap) - gap), 255, dtype=np.uint8)
    for number in range(len(shown)):
        members = np.flatnonzero(images.label == number)
        top = number * (height + gap)
        for column, row in enumerate(random.choice(members, min(SAMPLES, len(members)), replace=False)):
            left = column * (width + gap)
            board[:, top : top + height, left : left + width] = images.pixels[row]
    with Picture(folder / "samples.png", 0.78 * SAMPLES + 1.1, 0.8 * len(shown) * height / width) as figure:
        axes = figure.add_subplot()
        _image(axes, board)
        axes.set_yticks((height + gap) * np.arange(len(shown)) + height / 2, shown, fontsize=11)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)


def means(folder: Path, images: Images, classes: Sequence[str]) -> None:
    """`means.png`: the mean image of each class; what classes share is seen at once."""
    shown = classes[:CLASSES]
    columns = min(10, len(shown))
    rows = -(-len(shown) // columns)
    with Picture(folder / "means.png", 1.12 * columns, 1.4 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
        for cell in grid:
            cell.set_axis_off()
        for number, (cell, name) in enumerate(zip(grid, shown, strict=False)):
            if (members := images.label == number).any():
                _image(cell, images.pixels[members].mean(axis=0).round().astype(np.uint8))
            cell.set_title(name, fontsize=10)


def distributions(folder: Path, found: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> None:
    """`quality.png`: brightness, contrast and sharpness by split; splits of one kind lie on each other."""
    with Picture(folder / "quality.png", 11, 3) as figure:
        for axes, (name, what) in zip(figure.subplots(1, len(SHOWN)), SHOWN.items(), strict=True):
            levels = {split: values[name] for split, values in found.items() if len(values[name])}
            edges = np.histogram_bin_edges(np.concatenate([*levels.values(), np.zeros(1)]), BINS)
            for (split, values), colour in zip(levels.items(), COLOURS, strict=False):
                share = np.histogram(values, edges)[0] / len(values)
                axes.stairs(share, edges, label=split, color=colour, linewidth=1.5)
            axes.set_title(name, loc="left")
            axes.set_xlabel(what)
            axes.grid(visible=True, alpha=0.3)
            axes.locator_params(axis="x", nbins=5)
        figure.axes[0].set_ylabel("share of images")
        figure.axes[0].legend()


def pairs(path: Path, title: str, images: Images, closest: Sequence[Mapping[str, Any]]) -> None:
    """Pairs one above the other, with their correlation, class, split and row; a line of text when there are none."""
    with Picture(path, 1.12 * max(8, len(closest)), 3.4 if closest else 1.0) as figure:
        figure.suptitle(title if closest else f"{title}: no pair", fontsize=12, x=0.01, ha="left")
        if not closest:
            return
        grid = figure.subplots(2, max(8, len(closest)), squeeze=False)
        for cell in grid.reshape(-1):
            cell.set_axis_off()
        for column, pair in zip(grid.T, closest, strict=False):
            for cell, one in zip(column, pair["images"], strict=True):
                _image(cell, images.pixels[one["position"]])
                cell.set_title(f"{one['class']}\n{one['split']} {one['row']:,}", fontsize=8)
            column[1].text(
                0.5, -0.08, f"{pair['correlation']:.4f}", transform=column[1].transAxes, ha="center", va="top", fontsize=9
            )


def _image(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    if len(pixels) == 1:
        axes.imshow(pixels[0], cmap="gray", vmin=0, vmax=255)
    else:
        axes.imshow(np.moveaxis(pixels, 0, -1))
