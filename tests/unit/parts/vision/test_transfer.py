from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.core.config import validated
from pipelines.core.contract import Fit
from pipelines.core.errors import ConfigError
from pipelines.parts.vision.backbones import Lite0
from pipelines.parts.vision.model import VisionModel, VisionModelCodec
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture
from pipelines.parts.vision.transfer import FineTuned, FromScratch, Frozen
from tests.unit.parts.vision.stripes import CLASSES, stripes, training

RECIPE = {"epochs": 3, "batch": 16, "steps": 6, "precision": "float32", "average": 0.9}
LITE0 = {"name": "efficientnet_lite0", "resolution": 32}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of chance in the published form."""
    (tmp_path / "weights").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        state = Lite0().state_dict()
    torch.save(
        {**state, "_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}, tmp_path / "weights" / "lite0.pth"
    )
    return tmp_path / "weights"


def fit(params: Any, folder: Path, weights: Path, seed: int = 7) -> Fit[VisionModel]:
    return params.fit(stripes(), stripes(seed=1), training(folder, seed, resource=lambda name: weights), CLASSES)  # type: ignore[no-any-return]


WAYS = {
    "scratch": FromScratch.model_validate({"architecture": {"width": 4}, "recipe": RECIPE}),
    "frozen": Frozen.model_validate({"architecture": LITE0, "penalties": [0.1, 0.01]}),
    "finetuned": FineTuned.model_validate({"architecture": LITE0, "recipe": {**RECIPE, "epochs": 2, "steps": 2}, "falloff": 0.5}),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_a_calibrated_model_the_same_each_time(way: str, tmp_path: Path, weights: Path) -> None:
    fits = [fit(WAYS[way], tmp_path / name, weights) for name in ("one", "two")]
    for number, one in enumerate(fits):
        VisionModelCodec().write(one.model, tmp_path / f"model{number}")
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "model0" / name).read_bytes() == (tmp_path / "model1" / name).read_bytes()
    model, valid = fits[0].model, stripes(seed=1)
    assert model.classes == CLASSES
    assert model.watched(valid)[1].std(0)[0] > 0
    assert fits[0].curve
    loss = [
        -np.log(np.maximum(one.probability(valid)[np.arange(60), valid.label], 1e-12)).mean()
        for one in (model, VisionModel(model.net, CLASSES, 1.0, model.projection))
    ]
    assert loss[0] <= loss[1] + 1e-6, "the temperature must not make the validation loss worse"


def test_what_was_done_is_told(tmp_path: Path, weights: Path) -> None:
    scratch = fit(WAYS["scratch"], tmp_path / "scratch", weights).params
    assert scratch["architecture"]["width"] == 4
    assert {"best_epoch", "device", "precision", "threads", "parameters", "ended"} < set(scratch)
    assert fit(WAYS["frozen"], tmp_path / "frozen", weights).params["penalty"] in (0.1, 0.01)


def test_frozen_leaves_the_backbone_as_it_was_published(tmp_path: Path, weights: Path) -> None:
    net = fit(WAYS["frozen"], tmp_path / "frozen", weights).model.net
    published = torch.load(weights / "lite0.pth", weights_only=True)
    assert all(torch.equal(tensor, published[name]) for name, tensor in net.backbone.state_dict().items())  # type: ignore[union-attr]


def test_fine_tuning_goes_from_the_head_down(tmp_path: Path, weights: Path) -> None:
    net = build(Architecture(**LITE0), 3, 1)
    params = FineTuned(architecture=Architecture(**LITE0), unfreeze=2, falloff=0.5, parts=3)
    groups = params.groups(net)
    assert groups[0].parts == [net.head]
    assert [group.scale for group in groups[:3]] == [1.0, 0.5, 0.25]
    assert [group.start for group in groups] == [0, 2, 4] + [params.recipe.epochs] * 7
    assert sum(len(group.parameters()) for group in groups) == len(list(net.parameters()))


def test_fine_tuning_moves_the_unfrozen_parts_only(tmp_path: Path, weights: Path) -> None:
    recipe = {**RECIPE, "epochs": 2, "steps": 2, "average": 0.0, "schedule": "constant"}
    params = FineTuned.model_validate({"architecture": LITE0, "recipe": recipe, "unfreeze": 0, "parts": 2})
    state = fit(params, tmp_path / "tuned", weights).model.net.backbone.state_dict()  # type: ignore[union-attr]
    published = torch.load(weights / "lite0.pth", weights_only=True)
    moved = {name.split(".")[0] for name, tensor in state.items() if not torch.equal(tensor, published[name])}
    assert moved == {"_conv_head", "_bn1"}


def test_networks_without_published_weights_cannot_be_transferred(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ConfigError, match="'small_cnn' has no published weights"):
        fit(Frozen(architecture=Architecture(name="small_cnn")), tmp_path / "frozen", weights)


def test_params_name_what_they_do_not_know() -> None:
    with pytest.raises(ConfigError, match=r"recipe\.epoch: unknown key; did you mean 'epochs'") as told:
        validated(FromScratch, {"recipe": {"epoch": 3, "rate": 0}, "architecture": {"widht": 3}}, "train.candidates.cnn")
    assert "architecture.widht: unknown key; did you mean 'width'" in str(told.value)
    assert "recipe.rate: input should be greater than 0" in str(told.value)


def test_declaring_candidates_needs_no_torch() -> None:
    code = "import sys, pipelines.parts.vision.transfer; print(sorted({'torch', 'transformers', 'PIL'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
