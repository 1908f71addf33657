"""The winner in forms for deployment (ONNX, and ONNX in 8 bits), each measured on the test images beside the original."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.core.errors import DataError
from pipelines.core.evidence import Criterion, Document
from pipelines.parts.evaluation.latency import times_ms
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.model import BATCH, VisionModel
from pipelines.parts.vision.onnx_file import INPUT, OPSET, int8_bytes, onnx_bytes, session

BOUND = 1e-3
"""Largest absolute difference between the logits of torch and ONNX that promotion accepts: float32 sums of a few thousand
terms in another order differ by about 1e-5."""
CALLS = 200
"""Timed predictions of one image ..."""
SECONDS = 10
"""... unless they take longer than this in all."""

Floats = NDArray[np.float32]
Run = Callable[[Floats], Floats]
"""From pixels (n, c, h, w) in 0..1 to logits (n, classes)."""


class Exported(Document):
    """One form of the model on the test images."""

    name: str
    file: str
    """In the folder of the export; empty for the form that is stored as the model."""
    mb: float
    accuracy: float
    same_labels: float
    """Share of images with the same label as torch says."""
    logits_difference: float
    """Largest absolute difference from torch's logits."""
    calls: int
    """Timed predictions of one image."""
    median_ms: float
    """One image."""
    p99_ms: float
    """One image, 99th percentile."""
    images_per_second: float
    """In batches of `batch`."""


class ExportFacts(Document):
    """What export.json says."""

    opset: int
    shape: tuple[int, int, int]
    """Channels, height and width of the input; pixels are float32 in 0..1."""
    classes: tuple[str, ...]
    rows: int
    """Test images."""
    batch: int
    bound: float
    forms: tuple[Exported, ...]
    """torch, onnx, int8."""

    def form(self, name: str) -> Exported:
        """The form of this name. Raises KeyError when there is none."""
        return {form.name: form for form in self.forms}[name]

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What the ONNX form must show before promotion. The 8-bit form is an offer with its price beside it, and judges nothing."""
        whole = self.form("onnx")
        differing = round((1 - whole.same_labels) * self.rows)
        return (
            Criterion(
                name="onnx: same labels",
                wanted=f"on all {self.rows:,} test images",
                found=f"{differing:,} differ" if differing else "the same on all",
                passed=differing == 0,
                evidence={"rows": self.rows, "differing": differing},
            ),
            Criterion(
                name="onnx: logits",
                wanted=f"at most {self.bound:g} away from torch's",
                found=f"{whole.logits_difference:.2g}",
                passed=whole.logits_difference <= self.bound,
                evidence={"bound": self.bound, "value": whole.logits_difference},
            ),
        )


def export(model: VisionModel, images: Images, folder: Path, calls: int = CALLS) -> ExportFacts:
    """Write model.onnx, model.int8.onnx and export.json into `folder`.

    Every form predicts all `images`, then is timed: one image `calls` times, and one batch. Raises DataError when there are
    no images.
    """
    if not len(images):
        raise DataError(
            "an export is compared with the original on test images, and there are none; see split.test in params.yaml"
        )
    folder.mkdir(parents=True, exist_ok=True)
    whole = onnx_bytes(model, images.shape)
    files = {"onnx": ("model.onnx", whole), "int8": ("model.int8.onnx", int8_bytes(whole, model))}
    runs: dict[str, Run] = {"torch": served_by_torch(model)}
    for name, (file, content) in files.items():
        (folder / file).write_bytes(content)
        runs[name] = served_by_onnx(content)
    sizes = {"torch": weights_mb(model)}
    sizes |= {name: len(content) / 1e6 for name, (_, content) in files.items()}
    facts = ExportFacts(
        opset=OPSET,
        shape=images.shape,
        classes=model.classes,
        rows=len(images),
        batch=BATCH,
        bound=BOUND,
        forms=_forms(runs, images, sizes, {name: file for name, (file, _) in files.items()}, calls),
    )
    (folder / "export.json").write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return facts


def _forms(
    runs: Mapping[str, Run], images: Images, sizes: Mapping[str, float], files: Mapping[str, str], calls: int
) -> tuple[Exported, ...]:
    """The first run is the reference."""
    parts = [images.pixels[start : start + BATCH] for start in range(0, len(images), BATCH)]
    logits = {name: np.concatenate([run(scaled(part)) for part in parts]) for name, run in runs.items()}
    reference = logits[next(iter(runs))]
    found = []
    for name, run in runs.items():
        said = logits[name].argmax(axis=1)
        one, batch = times(run, images, calls)
        found.append(
            Exported(
                name=name,
                file=files.get(name, ""),
                mb=sizes[name],
                accuracy=float(np.mean(said == images.label)),
                same_labels=float(np.mean(said == reference.argmax(axis=1))),
                logits_difference=float(np.abs(logits[name] - reference).max()),
                calls=len(one),
                median_ms=float(np.median(one)),
                p99_ms=float(np.percentile(one, 99)),
                images_per_second=1000 * BATCH / float(np.median(batch)),
            )
        )
    return tuple(found)


def times(run: Run, images: Images, calls: int) -> tuple[Sequence[float], Sequence[float]]:
    """Milliseconds of `calls` predictions of one image, and of five of a batch (images repeat when there are too few)."""
    one = scaled(images.pixels[:1])
    batch = scaled(images.pixels[np.arange(BATCH) % len(images)])
    return (
        times_ms(lambda: run(one), warm_up=20, repeats=calls, seconds=SECONDS),
        times_ms(lambda: run(batch), warm_up=1, repeats=5, seconds=SECONDS),
    )


def scaled(pixels: NDArray[np.uint8]) -> Floats:
    """Pixels as networks take them: float32, 0..1."""
    return pixels.astype(np.float32) / np.float32(255)


def weights_mb(model: VisionModel) -> float:
    """Size of the parameters and statistics of a network."""
    return float(sum(tensor.nbytes for tensor in model.net.state_dict().values())) / 1e6


def served_by_torch(model: VisionModel) -> Run:
    """The network as it was trained."""

    def run(pixels: Floats) -> Floats:
        with torch.inference_mode():
            logits: Floats = model.net(torch.from_numpy(pixels)).numpy()
        return logits

    model.net.eval()
    return run


def served_by_onnx(content: bytes, spin: bool = False) -> Run:
    """An exported file in onnxruntime; `spin` as in `session`."""
    opened = session(content, spin)

    def run(pixels: Floats) -> Floats:
        logits: Floats = opened.run(["logits"], {INPUT: pixels})[0]
        return logits

    return run
