from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.errors import DataError
from pipelines.parts.vision import model as module
from pipelines.parts.vision.model import AXES, Projection, VisionModel, VisionModelCodec, features_of, softmax
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture
from tests.unit.parts.vision.stripes import CLASSES, stripes


@pytest.fixture
def model() -> VisionModel:
    """A network of chance with a temperature and axes."""
    images = stripes()
    net = build(Architecture(width=4), 3, 1, seed=3).eval()
    net.normalise(images.pixels)
    features = features_of(net, images)
    return VisionModel.of(net, CLASSES, features, features, images.label)


def test_probabilities_are_the_softmax_of_logits_over_the_temperature(model: VisionModel) -> None:
    images = stripes(seed=2)
    warm = replace(model, temperature=2.0)
    logits, probability = warm.logits(images), warm.probability(images)
    assert logits.shape == probability.shape == (60, 3)
    assert logits.dtype == probability.dtype == np.float32
    assert np.allclose(probability, torch.softmax(torch.from_numpy(logits) / 2, 1).numpy(), atol=1e-6)
    assert np.allclose(probability.sum(1), 1, atol=1e-6)


def test_a_row_is_predicted_alike_alone_and_in_company(model: VisionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    images = stripes((40, 40, 20), seed=2)
    together = model.probability(images)
    assert len(images) > module.BATCH
    alone = np.concatenate([model.probability(images.take([row])) for row in range(20)])
    assert np.allclose(alone, together[:20], rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(module, "BATCH", 7)
    assert np.allclose(model.probability(images), together, rtol=1e-4, atol=1e-6)


def test_features_do_not_depend_on_the_number_of_threads(model: VisionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    images, before = stripes((90, 70, 60), seed=2), torch.get_num_threads()
    features = []
    for count in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", count)
        features.append(features_of(model.net, images))
    assert all(np.array_equal(each, features[0]) for each in features[1:])
    assert torch.get_num_threads() == before


def test_predicting_changes_nothing_even_when_the_network_was_left_training(model: VisionModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.net.state_dict().items()}
    expected = model.logits(stripes())
    model.net.train()
    assert np.array_equal(model.logits(stripes()), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.net.state_dict().items())


def test_no_images_give_no_rows(model: VisionModel) -> None:
    nothing = stripes().take([])
    assert model.logits(nothing).shape == model.probability(nothing).shape == (0, 3)
    assert features_of(model.net, nothing).shape == (0, model.net.head.in_features)
    assert [part.shape for part in model.watched(nothing)] == [(0, 3), (0, AXES)]


def test_what_is_watched_are_the_probabilities_and_the_embeddings(model: VisionModel) -> None:
    images = stripes(seed=4)
    probability, embedded = model.watched(images)
    assert np.allclose(probability, model.probability(images), rtol=1e-4, atol=1e-6)
    assert np.array_equal(embedded, model.projection(features_of(model.net, images)))


def test_embeddings_are_centred_uncorrelated_and_ordered(model: VisionModel) -> None:
    embedded = model.watched(stripes())[1].astype(np.float64)
    assert embedded.shape == (60, AXES)
    assert np.abs(embedded.mean(0)).max() < 1e-3 * embedded.std()
    covariance = np.cov(embedded.T)
    spread = np.diag(covariance)
    assert np.abs(covariance - np.diag(spread)).max() < 1e-3 * spread.max()
    assert (np.diff(spread) <= 1e-6 * spread[0]).all()


@given(rows=st.integers(1, 20), width=st.integers(1, 12), seed=st.integers(0, 9))
def test_axes_are_orthonormal_or_zero_for_any_shape(rows: int, width: int, seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    projection = Projection.of(features)
    gram = projection.components.T @ projection.components
    there = np.abs(gram).sum(0) > 0.5
    assert projection.components.shape == (width, AXES)
    assert there.sum() == min(rows, width, AXES)
    assert np.allclose(gram, np.diag(there), atol=1e-5)


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), max_size=5))
def test_softmax_never_overflows(rows: list[list[float]]) -> None:
    probability = softmax(np.array(rows, dtype=np.float32).reshape(-1, 3))
    assert np.isfinite(probability).all()
    assert np.allclose(probability.sum(1), 1, atol=1e-5)


# files ------------------------------------------------------------------------------------------------------------------


def test_a_model_comes_back_the_same_and_as_the_same_bytes(model: VisionModel, tmp_path: Path) -> None:
    codec = VisionModelCodec()
    codec.write(model, tmp_path / "one")
    read = codec.read(tmp_path / "one")
    codec.write(read, tmp_path / "two")
    images = stripes(seed=4)
    assert np.array_equal(read.probability(images), model.probability(images))
    assert np.array_equal(read.watched(images)[1], model.watched(images)[1])
    assert (read.classes, read.temperature, read.architecture) == (CLASSES, model.temperature, model.architecture)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["model.json", "model.safetensors"]
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def other_network(path: Path) -> None:
    facts = json.loads(path.read_text())
    facts["architecture"]["width"] = 5
    path.write_text(json.dumps(facts))


def other_classes(path: Path) -> None:
    facts = json.loads(path.read_text())
    facts["classes"] = facts["classes"][:2]
    path.write_text(json.dumps(facts))


def code_inside(path: Path) -> None:
    torch.save({"net.head.bias": torch.zeros(3)}, path)


def other_axes(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    tensors["projection.components"] = tensors["projection.components"][:-1].clone()
    save_file(tensors, path)


def not_a_number(path: Path) -> None:
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "temperature": "warm"}))


@pytest.mark.parametrize(
    ("file", "harm"),
    [
        ("model.safetensors", cut),
        ("model.safetensors", Path.unlink),
        ("model.safetensors", code_inside),
        ("model.safetensors", other_axes),
        ("model.json", cut),
        ("model.json", Path.unlink),
        ("model.json", other_network),
        ("model.json", other_classes),
        ("model.json", not_a_number),
    ],
)
def test_damaged_files_are_refused(model: VisionModel, tmp_path: Path, file: str, harm: object) -> None:
    VisionModelCodec().write(model, tmp_path / "one")
    harm(tmp_path / "one" / file)  # type: ignore[operator]
    with pytest.raises(DataError, match=r"one holds no whole model: .*; run the training stage again"):
        VisionModelCodec().read(tmp_path / "one")
