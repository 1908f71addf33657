"""Every figure of a project on images, from what the test images showed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.core.contract import Evidence
from pipelines.parts.evaluation import latency_ms
from pipelines.parts.vision import figures, gallery, robustness
from pipelines.parts.vision.export import weights_mb
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.model import VisionModel


def draw(evidence: Evidence[Images, VisionModel], classes: Sequence[str], slices: dict[str, Sequence[int]], folder: Path) -> None:
    """Figures into `folder`, their numbers into `folder/plots`; those about one model are about the winner."""
    folder.mkdir(parents=True, exist_ok=True)
    label, winner = np.asarray(evidence.truth["label"]), evidence.winner
    said = {name: np.asarray(arrays["probability"]) for name, arrays in evidence.predictions.items()}
    models, best = evidence.models, said[winner]
    one = evidence.data.take([0])
    latency = {name: latency_ms(lambda model=model: model.probability(one)) for name, model in models.items()}  # type: ignore[misc]
    figures.candidates(folder, label, said, {name: weights_mb(model) for name, model in models.items()}, latency)
    figures.confusion(folder, label, best, classes, winner)
    figures.per_class(folder, label, said, classes)
    figures.reliability(folder, label, said)
    figures.training(folder, evidence.curves)
    figures.slices(folder, best.argmax(axis=1) == label, slices, winner)
    gallery.mistakes(folder, evidence.data, best, classes, winner)
    gallery.attention(folder, evidence.data, best, classes, winner, models[winner].net)
    robustness.draw(folder, robustness.measure(models, evidence.data, evidence.seed), evidence.data, evidence.seed)
