"""Small pictures that a small network learns in seconds: the class says which third is bright."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipelines.core.contract import Training
from pipelines.parts.vision.images import Images

CLASSES = ("top", "middle", "bottom")
SIDE = 12


def stripes(counts: Sequence[int] = (20, 20, 20), seed: int = 0, bright: int = 90, channels: int = 1) -> Images:
    """So many pictures of each class, shuffled; the smaller `bright`, the harder."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    pixels = rng.integers(0, 120, (len(label), channels, SIDE, SIDE))
    third = SIDE // len(counts)
    for row, one in enumerate(label):
        pixels[row, :, one * third : (one + 1) * third] += bright
    return Images.of(pixels.astype(np.uint8), label)


def training(
    folder: Path,
    seed: int = 7,
    progress: Callable[[int, int, str], None] = lambda done, total, message: None,
    resource: Callable[[str], Path] = lambda name: Path(name),
) -> Training:
    """What `fit` is given, with checkpoints in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Training(
        seed=seed,
        trials=0,
        seconds=60,
        metric="accuracy",
        greater_is_better=True,
        study="",
        study_name="",
        score=lambda truth, predictions: {},
        progress=progress,
        workdir=folder,
        resource=resource,
    )
