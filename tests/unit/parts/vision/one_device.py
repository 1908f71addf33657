"""Where there is a GPU every step is done there, and ends as it does on the CPU: held on a device that any machine has.

Run by `test_one_device.py`, in a process of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.parts.vision import device, heads
from pipelines.parts.vision import training as module
from pipelines.parts.vision.backbones import EfficientNetLite0
from pipelines.parts.vision.gradcam import heat
from pipelines.parts.vision.heads import cached_features
from pipelines.parts.vision.model import VisionModelCodec, features_of
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.onnx_file import onnx_bytes
from pipelines.parts.vision.recipe import Architecture, Recipe
from pipelines.parts.vision.training import Group, Trained, judge, train
from pipelines.parts.vision.transfer import FineTuned, FromScratch, Frozen
from tests.unit.parts.vision.elsewhere import GPU, Elsewhere, Workers, WrongDevice
from tests.unit.parts.vision.stripes import CLASSES, stripes, training

EVERYTHING = {
    "epochs": 3, "batch": 16, "shards": 1, "rate": 0.01, "clip": 1.0, "focus": 1.0, "weights": "balanced", "average": 0.9,
    "augmentation": {
        "flip": 0.5, "shift": 1, "rotate": 10, "zoom": 0.1, "erase": 0.5, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2,
    },
}  # fmt: skip
"""A recipe that uses all there is."""
OPTIMISERS = ["sgd", "adam"]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Everything of ours computes on the other device."""
    for one in (device, module, heads):
        monkeypatch.setattr(one, "device", lambda: GPU)
    monkeypatch.setattr(device, "ThreadPoolExecutor", Workers)
    with Elsewhere():
        yield GPU


def run(folder: Path, **values: Any) -> Trained:
    """Train a network whose parts begin to learn one after the other."""
    images, valid = (stripes(seed=seed, channels=3) for seed in (0, 1))
    net = build(Architecture(name="residual", width=4), 3, 3, 7)
    net.normalise(images.pixels)
    groups = [Group([part], 0.9**depth, min(1, depth)) for depth, part in enumerate(net.depths()[::-1])]
    return train(net, images, valid, Recipe.model_validate(EVERYTHING | values), training(folder), groups)


def weights(trained: Trained) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in trained.net.state_dict().values())


def test_the_device_of_these_tests_refuses_what_a_gpu_refuses(gpu: torch.device) -> None:
    there, here = torch.ones(3, device=gpu), torch.ones(3)
    with pytest.raises(WrongDevice, match="aten::add"):
        there + here
    with pytest.raises(WrongDevice, match="a generator of the cpu"):
        torch.rand(3, device=gpu, generator=torch.Generator())
    assert (there + here.to(gpu)).to("cpu").tolist() == [2, 2, 2]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_training_on_a_gpu_ends_as_on_the_cpu(
    tmp_path: Path, gpu: torch.device, monkeypatch: pytest.MonkeyPatch, optimiser: str
) -> None:
    there = run(tmp_path / "there", optimiser=optimiser, precision="float32")
    monkeypatch.setattr(module, "device", lambda: torch.device("cpu"))
    here = run(tmp_path / "here", optimiser=optimiser, precision="float32")
    assert (there.facts["device"], here.facts["device"]) == (gpu.type, "cpu")
    assert weights(here) == weights(there)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_training_on_a_gpu_that_was_killed_goes_on(
    tmp_path: Path, gpu: torch.device, monkeypatch: pytest.MonkeyPatch, optimiser: str
) -> None:
    asked = {"optimiser": optimiser, "precision": "bfloat16"}
    whole, save, count = run(tmp_path / "whole", **asked), module._Loop.save, itertools.count(1)

    def killed(self: Any) -> None:
        save(self)
        if next(count) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(module._Loop, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", **asked)
    assert weights(run(tmp_path / "parts", **asked)) == weights(whole)


def test_what_is_asked_of_a_network_on_a_gpu_is_what_it_says_on_the_cpu(tmp_path: Path, gpu: torch.device) -> None:
    images = stripes()
    pixels, label = torch.from_numpy(images.pixels), torch.from_numpy(images.label)
    net = build(Architecture(width=4, mirrored=True), 3, 1, 7).eval().to(memory_format=torch.channels_last)
    here = judge(net, pixels, label), features_of(net, images), heat(net, images, images.label)
    kept = cached_features(net, images, training(tmp_path), "training")
    assert next(net.parameters()).device.type == "cpu", "and it is back where it was"
    net.to(gpu)
    there = judge(net, pixels, label), features_of(net, images), heat(net, images, images.label)
    assert here[0] == there[0]
    assert np.array_equal(here[1], there[1])
    assert np.array_equal(here[1], kept)
    assert np.array_equal(here[2], there[2])


def test_every_way_to_a_model_ends_on_the_cpu(tmp_path: Path, gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EfficientNetLite0, "load_published", lambda self, resource: None)
    images, valid = stripes(), stripes(seed=1)
    recipe, lite = Recipe(epochs=1, batch=32, precision="bfloat16"), Architecture(name="efficientnet_lite0", resolution=32)
    ways = FromScratch(recipe=recipe), FineTuned(architecture=lite, recipe=recipe), Frozen(architecture=lite)
    for number, way in enumerate(ways):
        model = way.fit(images, valid, training(tmp_path / str(number)), CLASSES).model
        assert next(model.net.parameters()).device.type == "cpu"
        assert model.probability(valid).shape == (len(valid), 3)
        VisionModelCodec().write(model, tmp_path / f"model-{number}")
        onnx_bytes(model, valid.shape)
