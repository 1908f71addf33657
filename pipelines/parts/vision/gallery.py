"""The mistakes a model is surest of, as pictures: plain, and with what spoke for the wrong class laid over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.parts.reports.drawing import Picture, table
from pipelines.parts.vision.images import Images

if TYPE_CHECKING:
    from pipelines.parts.vision.network import Network

MOST = 24
COLUMNS = 6
CELL = 1.35
"""Side of an image in inches."""
TEXT = 0.42
"""Room for two lines above it."""

Probabilities = NDArray[np.floating[Any]]


def worst(images: Images, probability: Probabilities, most: int = MOST) -> NDArray[np.intp]:
    """Positions of the images whose label is known and not the class said, surest first, at most `most`; ties as they come."""
    wrong = np.flatnonzero((probability.argmax(axis=1) != images.label) & (images.label >= 0))
    return wrong[np.argsort(-probability[wrong].max(axis=1), kind="stable")][:most]


def mistakes(folder: Path, images: Images, probability: Probabilities, classes: Sequence[str], name: str) -> None:
    """`mistakes.png`: each image with its true class, the class said and how sure the model was."""
    chosen = worst(images, probability)
    title = f"The mistakes {name} is surest of ({_count(images, probability)})"
    _draw(folder / "mistakes.png", title, images.take(chosen), _words(images, probability, classes, chosen))
    said = probability.argmax(axis=1)
    rows = [
        (int(row), classes[images.label[row]], classes[said[row]], float(probability[row].max()),
         float(probability[row, images.label[row]])) for row in chosen
    ]  # fmt: skip
    table(folder, "mistakes", ("row", "actual", "predicted", "confidence", "probability_of_actual"), rows)


def attention(folder: Path, images: Images, probability: Probabilities, classes: Sequence[str], name: str, net: Network) -> None:
    """`attention.png`: the same images under Grad-CAM for the class said. The table says which share of the heat lies in the
    middle half of the image, a quarter of its area: much less means that the model looks at the margins."""
    from pipelines.parts.vision.gradcam import heat

    chosen = worst(images, probability)
    said = probability.argmax(axis=1)
    shown = images.take(chosen)
    warm = heat(net, shown, said[chosen])
    title = f"Where {name} looks when it is surely wrong (Grad-CAM for the class said)"
    _draw(folder / "attention.png", title, shown, _words(images, probability, classes, chosen), warm)
    height, width = images.shape[1:]
    middle = warm[:, height // 4 : height - height // 4, width // 4 : width - width // 4].sum((1, 2))
    shares = middle / np.maximum(warm.sum((1, 2)), np.finfo(np.float32).tiny)
    rows = [
        (int(row), classes[images.label[row]], classes[said[row]], float(share))
        for row, share in zip(chosen, shares, strict=True)
    ]
    table(folder, "attention", ("row", "actual", "predicted", "heat_in_the_middle"), rows)


def _count(images: Images, probability: Probabilities) -> str:
    wrong = np.count_nonzero((probability.argmax(axis=1) != images.label) & (images.label >= 0))
    return f"{wrong:,} of {np.count_nonzero(images.label >= 0):,} test images are wrong"


def _words(images: Images, probability: Probabilities, classes: Sequence[str], chosen: NDArray[np.intp]) -> list[tuple[str, str]]:
    """Per image what it is, and what it was taken for."""
    said = probability.argmax(axis=1)
    return [(classes[images.label[row]], f"said {classes[said[row]]} {probability[row].max():.0%}") for row in chosen]


def _draw(
    path: Path, title: str, images: Images, words: Sequence[tuple[str, str]], warm: NDArray[np.float32] | None = None
) -> None:
    """A grid of images with two lines above each, on one pair of axes: many small ones take ten times as long."""
    columns, lines = COLUMNS, max(1, -(-len(images) // COLUMNS))
    width, height = columns * (CELL + 0.15) + 0.15, lines * (CELL + TEXT) + 0.55
    with Picture(path, width, height, colours=128) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.text(0.15, 0.27, title, fontsize=11, va="center")
        if not len(images):
            axes.text(0.15, 0.45 + CELL / 2, "None: every test image is right.", fontsize=10, va="center")
        for number, (pixels, (actual, said)) in enumerate(zip(images.pixels, words, strict=True)):
            left, top = 0.15 + (number % columns) * (CELL + 0.15), 0.45 + (number // columns) * (CELL + TEXT)
            axes.text(left, top + 0.1, _short(actual), fontsize=8, va="center", weight="bold")
            axes.text(left, top + 0.25, _short(said), fontsize=8, va="center", color="#b3261e")
            box = (left, left + CELL, top + TEXT + CELL - 0.06, top + TEXT - 0.06)
            axes.imshow(picture(pixels), extent=box, aspect="auto", interpolation="nearest")
            if warm is not None:
                axes.imshow(_tint(warm[number]), extent=box, aspect="auto", interpolation="bilinear")
        axes.set_xlim(0, width)  # imshow moves them
        axes.set_ylim(height, 0)


def picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels (channels, height, width) as (height, width, 3)."""
    return np.moveaxis(np.broadcast_to(pixels, (3, *pixels.shape[1:])), 0, -1)


def _tint(warm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Heat as red that covers the more the hotter it is: (height, width, 4)."""
    tint = np.zeros((*warm.shape, 4), dtype=np.float32)
    tint[..., 0], tint[..., 1] = 1.0, 0.25
    tint[..., 3] = 0.75 * warm
    return tint


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
