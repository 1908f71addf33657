"""The report of a run has every figure, and they fit what the evidence says."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.contract import Evidence
from pipelines.parts.vision.export import weights_mb
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.model import Projection, VisionModel
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture
from pipelines.parts.vision.report import draw

CLASSES = ("bag", "boot", "shirt")
NAMES = {"candidates", "confusion", "reliability", "per_class", "training", "mistakes", "attention", "slices", "robustness"}


@pytest.fixture
def evidence() -> Evidence[Images, VisionModel]:
    random = np.random.default_rng(0)
    images = Images.of(random.integers(0, 256, (40, 1, 16, 16), dtype=np.uint8), random.integers(0, 3, 40))
    models = {}
    for name, seed in (("cnn", 1), ("wide", 2)):
        net = build(Architecture(name="small_cnn", width=4 * seed), 3, 1, seed)
        axes = Projection.of(random.normal(size=(20, net.head.in_features)).astype(np.float32))
        models[name] = VisionModel(net.eval(), CLASSES, 1.0, axes)
    predictions = {name: {"probability": model.probability(images)} for name, model in models.items()}
    return Evidence(
        data=images,
        truth={"label": images.label},
        predictions=predictions | {"champion": predictions["cnn"]},
        models=models,
        winner="wide",
        curves={"cnn": [{"epoch": 1, "loss": 1.0, "valid_loss": 1.1, "accuracy": 0.3, "valid_accuracy": 0.4}], "wide": []},
        seed=3,
    )


def test_every_figure_is_drawn_with_its_table(evidence: Evidence[Images, VisionModel], tmp_path: Path) -> None:
    draw(evidence, CLASSES, {"class=bag": [0, 1, 2]}, tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == NAMES
    assert {path.stem for path in (tmp_path / "plots").glob("*.csv")} == NAMES
    with (tmp_path / "plots" / "candidates.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert rows["champion"]["model_mb"] == ""  # its network is not among the models
    assert float(rows["wide"]["model_mb"]) == pytest.approx(weights_mb(evidence.models["wide"]), rel=1e-5)
