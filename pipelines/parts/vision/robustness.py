"""How accuracy falls as images get worse: five corruptions in five severities, after Hendrycks and Dietterich (ICLR 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.parts.reports.drawing import Picture, colours, table
from pipelines.parts.vision.images import Images

if TYPE_CHECKING:
    from pipelines.parts.vision.model import VisionModel

MOST = 2000
SEVERITIES = range(6)
"""0 is the image as it is."""
SHOWN = (0, 1, 3, 5)
"""Those that people are shown."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Corruption:
    """One way in which images get worse."""

    what: str
    """What the levels mean; lengths are shares of the longer side, brightness runs from 0 to 1."""
    levels: tuple[float, float, float, float, float]
    apply: Callable[[Floats, float, np.random.Generator], Floats]
    """From pixels (rows, channels, height, width) in 0..1, a level and a source of randomness to worse pixels."""


def noise(pixels: Floats, level: float, random: np.random.Generator) -> Floats:
    """Normal noise of standard deviation `level` on every pixel."""
    return pixels + np.float32(level) * random.standard_normal(pixels.shape, dtype=np.float32)


def blur(pixels: Floats, level: float, _: np.random.Generator) -> Floats:
    """A Gaussian filter with a standard deviation of `level` times the longer side."""
    from scipy.ndimage import gaussian_filter

    sigma = level * max(pixels.shape[2:])
    blurred: Floats = gaussian_filter(pixels, (0, 0, sigma, sigma), mode="nearest")
    return blurred


def shift(pixels: Floats, level: float, random: np.random.Generator) -> Floats:
    """Each image moved by `level` times the longer side in a direction of its own; the border is drawn out."""
    rows, _, height, width = pixels.shape
    angle = random.uniform(0, 2 * np.pi, (rows, 1))
    length = level * max(height, width)
    y = np.clip(np.arange(height) - np.rint(length * np.sin(angle)).astype(int), 0, height - 1)
    x = np.clip(np.arange(width) - np.rint(length * np.cos(angle)).astype(int), 0, width - 1)
    return np.take_along_axis(np.take_along_axis(pixels, y[:, None, :, None], axis=2), x[:, None, None, :], axis=3)


def brightness(pixels: Floats, level: float, random: np.random.Generator) -> Floats:
    """`level` added to all pixels of one half of the images, taken from those of the other."""
    sign = 2 * (random.permutation(len(pixels)) % 2).astype(np.float32) - 1
    return pixels + sign[:, None, None, None] * np.float32(level)


def contrast(pixels: Floats, level: float, _: np.random.Generator) -> Floats:
    """Distances to the image's mean brightness multiplied by 1 - `level`."""
    mean: Floats = pixels.mean(axis=(1, 2, 3), keepdims=True)
    return mean + (pixels - mean) * np.float32(1 - level)


CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption("standard deviation", (0.04, 0.08, 0.12, 0.18, 0.26), noise),
    "blur": Corruption("standard deviation, share of the side", (0.02, 0.03, 0.04, 0.05, 0.065), blur),
    "shift": Corruption("share of the side", (0.035, 0.07, 0.11, 0.15, 0.2), shift),
    "brightness": Corruption("added or taken away", (0.1, 0.2, 0.3, 0.4, 0.5), brightness),
    "contrast": Corruption("share taken away", (0.3, 0.5, 0.65, 0.8, 0.9), contrast),
}


def corrupt(images: Images, name: str, severity: int, seed: int) -> Images:
    """The images with one of `CORRUPTIONS` at a severity from 0 (none) to 5; the same for the same seed."""
    if severity == 0:
        return images
    corruption = CORRUPTIONS[name]
    random = np.random.default_rng([seed, list(CORRUPTIONS).index(name), severity])
    worse = corruption.apply(images.pixels.astype(np.float32) / np.float32(255), corruption.levels[severity - 1], random)
    pixels = np.rint(np.clip(worse, 0, 1) * np.float32(255)).astype(np.uint8)
    return replace(images, pixels=pixels)


def measure(models: Mapping[str, VisionModel], images: Images, seed: int, most: int | None = None) -> dict[str, Floats]:
    """Accuracy of each model, shape (corruptions, severities), on the same sample of the images.

    The sample has at most `most` images: a tenth of them where nothing is said, at least 100 and at most `MOST`, because each
    is predicted 26 times by each model.
    """
    rows = min(len(images), max(100, min(MOST, len(images) // 10)) if most is None else most)
    sample = images.take(np.sort(np.random.default_rng(seed).permutation(len(images))[:rows]))
    found = {name: np.zeros((len(CORRUPTIONS), len(SEVERITIES)), dtype=np.float32) for name in models}
    for name, model in models.items():
        found[name][:, 0] = _accuracy(model, sample)
    for place, corruption in enumerate(CORRUPTIONS):
        for severity in SEVERITIES[1:]:
            worse = corrupt(sample, corruption, severity, seed)
            for name, model in models.items():
                found[name][place, severity] = _accuracy(model, worse)
    return found


def draw(folder: Path, found: Mapping[str, Floats], images: Images, seed: int) -> None:
    """`robustness.png`: an image getting worse, and below it accuracy by severity of each model. The table has a line for
    each model and severity, and a column for each corruption."""
    lowest = min(float(accuracy.min()) for accuracy in found.values())
    with Picture(folder / "robustness.png", 12, 5.2, colours=256) as figure:
        above, below = figure.subplots(2, len(CORRUPTIONS), height_ratios=(1, 3.4))
        for axes, name in zip(above, CORRUPTIONS, strict=True):
            axes.imshow(_strip(images, name, seed))
            axes.set_axis_off()
            axes.set_title(name)
        for place, (axes, corruption) in enumerate(zip(below, CORRUPTIONS.values(), strict=True)):
            for model, colour in colours(found).items():
                axes.plot(SEVERITIES, found[model][place], "o-", color=colour, label=model, ms=3)
            ticks = ["0", *(f"{level:g}" for level in corruption.levels)]
            axes.set_xticks(SEVERITIES, ticks, fontsize=8)
            axes.set_xlabel(corruption.what, fontsize=8)
            axes.set_ylim(max(0, lowest - 0.03), 1)
            axes.grid(visible=True, alpha=0.3)
        below[0].set_ylabel("accuracy")
        handles = below[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=min(5, len(found)), frameon=False)
    rows = [
        (model, severity, *(float(accuracy[place, severity]) for place in range(len(CORRUPTIONS))))
        for model, accuracy in found.items()
        for severity in SEVERITIES
    ]
    table(folder, "robustness", ("model", "severity", *CORRUPTIONS), rows)


def _strip(images: Images, name: str, seed: int) -> NDArray[np.uint8]:
    """The first image at some severities, side by side: (height, width, 3)."""
    one = images.take([0])
    worse = [corrupt(one, name, severity, seed).pixels[0] for severity in SHOWN]
    line = np.concatenate(worse, axis=2)
    return np.moveaxis(np.broadcast_to(line, (3, *line.shape[1:])), 0, -1)


def _accuracy(model: VisionModel, images: Images) -> float:
    return float(np.mean(model.probability(images).argmax(axis=1) == images.label))
