"""Images into batches: ours against a loop over images, and against what the small network can use.

Pictures of scikit-learn's digits, enlarged to 28 x 28 pixels: they are there without a network, and their PNG files are
about as large as those of Fashion-MNIST.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps
from torch import Tensor

from bench.measure import Timing
from pipelines.core.contract import Training
from pipelines.parts.vision.augment import augment
from pipelines.parts.vision.device import ready, threads
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.reading import stream
from pipelines.parts.vision.recipe import Architecture, Augmentation, Recipe
from pipelines.parts.vision.training import train

IMAGES = 4_000
BATCH = 128
SHAPE = (1, 28, 28)
DOMAIN = Augmentation(flip=0.5, shift=2, erase=0.5)
"""What the project on clothing trains with."""
ALL = Augmentation(flip=0.5, shift=2, rotate=10, zoom=0.1, erase=0.5)


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Timings per 1,000 images, and the same as images a second beside the small network's."""
    torch.set_num_threads(threads())
    images = _digits()
    with tempfile.TemporaryDirectory() as name:
        files = _files(images, Path(name))
        found = [
            _timing("image by image with PIL, from PNG files", lambda: _one_by_one(files), repeats),
            _timing("image by image with PIL, from memory", lambda: _one_by_one([p[0] for p in images.pixels]), repeats),
            _timing("ours, PNG files into arrays (once a data set)", lambda: _streamed(Path(name)), repeats),
            _timing("ours, batches with flip, shift, erase", lambda: _batches(images, DOMAIN), repeats),
            _timing("ours, rotation and zoom as well", lambda: _batches(images, ALL), repeats),
            Timing("the small CNN, forward and back", [_epoch(images) for _ in range(repeats)], per=IMAGES // 1000),
        ]
    rates = [1000 / one.median for one in found]
    network = rates[-1]
    notes = [f"{one.name}: {rate:,.0f} images/s" for one, rate in zip(found, rates, strict=True)]
    notes.append(
        f"{torch.get_num_threads()} threads; against the small CNN's training: flip, shift, erase {rates[3] / network:.1f} x, "
        f"all {rates[4] / network:.1f} x (goal 3 x); image by image from files {rates[0] / network:.1f} x"
    )
    return found, notes


def _timing(name: str, work: Callable[[], object], repeats: int) -> Timing:
    """Repeated after one run that pays for imports and first allocations."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return Timing(f"{name}, per 1,000", seconds, per=IMAGES // 1000)


def _digits() -> Images:
    from sklearn.datasets import load_digits

    small, label = load_digits(return_X_y=True)
    chosen = np.resize(np.arange(len(small)), IMAGES)
    pixels = [
        np.asarray(Image.fromarray((small[row].reshape(8, 8) * 255 / 16).astype(np.uint8)).resize((28, 28))) for row in chosen
    ]
    return Images.of(np.stack(pixels)[:, None], label[chosen])


def _files(images: Images, folder: Path) -> list[Path]:
    files = [folder / f"{number:05d}.png" for number in range(len(images))]
    for file, pixels in zip(files, images.pixels, strict=True):
        Image.fromarray(pixels[0]).save(file)
    return files


def _one_by_one(sources: list[Path] | list[NDArray[np.uint8]]) -> list[Tensor]:
    """Each image opened, changed and converted by itself, then stacked: the loop that every tutorial has."""
    random = np.random.default_rng(0)
    batches = []
    for start in range(0, len(sources), BATCH):
        tensors = [_changed(source, random) for source in sources[start : start + BATCH]]
        batches.append(torch.stack(tensors))
    return batches


def _changed(source: Path | NDArray[np.uint8], random: np.random.Generator) -> Tensor:
    image = Image.open(io.BytesIO(source.read_bytes())) if isinstance(source, Path) else Image.fromarray(source)
    image = image.convert("L")
    if random.random() < DOMAIN.flip:
        image = ImageOps.mirror(image)
    dx, dy = random.integers(-DOMAIN.shift, DOMAIN.shift + 1, 2)
    image = ImageChops.offset(image, int(dx), int(dy))
    if random.random() < DOMAIN.erase:
        height, width = random.integers(4, 16, 2)
        top, left = random.integers(0, 28 - height), random.integers(0, 28 - width)
        noise = Image.fromarray(random.integers(0, 256, (height, width), dtype=np.uint8))
        image.paste(noise, (int(left), int(top)))
    return torch.from_numpy(np.array(image)).float().div(255)[None]


def _streamed(folder: Path) -> int:
    return sum(len(part) for part in stream(folder, SHAPE, 512))


def _batches(images: Images, how: Augmentation) -> None:
    """As the training loop does it: rows drawn, floats made, whole batches changed."""
    pixels, place = torch.from_numpy(images.pixels), torch.device("cpu")
    draws = torch.Generator().manual_seed(0)
    for rows in torch.split(torch.randperm(len(images), generator=draws), BATCH):
        augment(ready(pixels.index_select(0, rows), place), how, draws)


def _epoch(images: Images) -> float:
    """Seconds that one epoch of training takes without augmentation, judging the validation images not counted."""
    net = build(Architecture(name="small_cnn"), classes=10, channels=1)
    with tempfile.TemporaryDirectory() as workdir:
        training = Training(
            seed=0, trials=0, seconds=600, metric="accuracy", greater_is_better=True, study="", study_name="",
            score=lambda truth, predictions: {}, workdir=Path(workdir),
        )  # fmt: skip
        recipe = Recipe(epochs=2, batch=BATCH)
        curve = train(net, images, images.take(range(BATCH)), recipe, training).curve
    return len(images) / curve[-1]["images_per_second"]
