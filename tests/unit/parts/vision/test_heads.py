from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from pipelines.parts.vision import heads
from pipelines.parts.vision.heads import Rows, cached_features, fit_head
from pipelines.parts.vision.losses import Loss
from pipelines.parts.vision.model import Floats, features_of
from pipelines.parts.vision.network import Network
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture
from tests.unit.parts.vision.stripes import stripes, training


def rows(count: int, seed: int) -> Rows:
    """Three overlapping clouds in five dimensions, each dimension on a scale of its own."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, count)
    centres = np.random.default_rng(0).normal(size=(3, 5))
    features = (centres[label] + rng.normal(size=(count, 5))) * [1, 10, 0.1, 1, 1] + [0, 5, 0, 0, 100]
    return Rows(features.astype(np.float32), label)


def test_the_head_is_a_penalised_logistic_regression() -> None:
    train, valid = rows(200, 1), rows(100, 2)
    head = nn.Linear(5, 3)
    penalty, curve = fit_head(head, train, valid, [0.05], Loss())
    scaled = (train.features - train.features.mean(0)) / train.features.std(0)
    reference = LogisticRegression(C=1 / (0.05 * len(train.label)), max_iter=1000, tol=1e-8).fit(scaled, train.label)
    with torch.inference_mode():
        ours = torch.softmax(head(torch.from_numpy(train.features)), 1).numpy()
    assert np.abs(ours - reference.predict_proba(scaled)).max() < 2e-3
    assert penalty == 0.05
    assert curve[0]["valid_accuracy"] > 0.5


def test_the_penalty_with_the_lowest_validation_loss_is_kept() -> None:
    train, valid = rows(20, 3), rows(300, 4)
    penalties = (1e-5, 0.1, 10.0)
    head = nn.Linear(5, 3)
    penalty, curve = fit_head(head, train, valid, penalties, Loss())
    assert [one["penalty"] for one in curve] == [10.0, 0.1, 1e-5]
    assert penalty == 0.1
    with torch.inference_mode():
        logits = head(torch.from_numpy(valid.features))
    kept = float(nn.functional.cross_entropy(logits, torch.from_numpy(valid.label)))
    assert kept == pytest.approx(min(one["valid_loss"] for one in curve), rel=1e-3)


def test_a_feature_that_never_changes_does_no_harm() -> None:
    train, valid = rows(50, 1), rows(50, 2)
    train.features[:, 2] = 0.0
    head = nn.Linear(5, 3)
    fit_head(head, train, valid, [0.1], Loss())
    assert torch.isfinite(head.weight).all()


@pytest.mark.parametrize("shift", [0, 1])
def test_the_head_depends_neither_on_threads_nor_on_memory(shift: int) -> None:
    random = np.random.default_rng(1)
    kept = np.empty(600 * 128 + 1, dtype=np.float32)
    features = kept[shift : shift + 600 * 128].reshape(600, 128)  # by 1: four bytes further on
    features[:] = random.standard_normal((600, 128))
    rows = Rows(features, random.integers(0, 10, 600))
    before, heads = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            heads.append(nn.Linear(128, 10))
            fit_head(heads[-1], rows, rows, (0.1, 0.01), Loss(None, 0.0, 0.0))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert torch.equal(heads[0].weight, heads[1].weight)
    aligned = nn.Linear(128, 10)
    fit_head(aligned, Rows(features.copy(), rows.label), rows, (0.1, 0.01), Loss(None, 0.0, 0.0))
    assert torch.equal(aligned.weight, heads[0].weight)


def test_class_weights_reach_the_head() -> None:
    train, valid = rows(200, 1), rows(200, 2)
    heads = [nn.Linear(5, 3), nn.Linear(5, 3)]
    for head, weights in zip(heads, (None, np.array([1, 1, 20], dtype=np.float32)), strict=True):
        fit_head(head, train, valid, [0.01], Loss(weights))
    with torch.inference_mode():
        often = [int((head(torch.from_numpy(valid.features)).argmax(1) == 2).sum()) for head in heads]
    assert often[1] > 1.3 * often[0]


# features ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def net() -> Network:
    return build(Architecture(width=4), 3, 1, seed=2)


def test_features_are_computed_once(net: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = stripes((20, 20, 10))
    monkeypatch.setattr(heads, "CHUNK", 20)
    said: list[str] = []
    given = training(tmp_path, progress=lambda done, total, message: said.append(f"{done}/{total} {message}"))
    first = cached_features(net, images, given, "training")
    assert np.allclose(first, features_of(net, images), atol=1e-5)
    assert said == [f"{done}/50 features of training images" for done in (20, 40, 50)]
    assert len(list(tmp_path.glob("features-*.safetensors"))) == 3
    monkeypatch.setattr(heads, "features_of", lambda *given: pytest.fail("features were computed again"))
    assert np.array_equal(cached_features(net, images, given, "training"), first)


def test_a_killed_process_goes_on_with_the_next_part(net: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "CHUNK", 20)
    computed: list[int] = []

    def counted(net: Network, images: object) -> Floats:
        computed.append(len(images))  # type: ignore[arg-type]
        return features_of(net, images)  # type: ignore[arg-type]

    monkeypatch.setattr(heads, "features_of", counted)
    cached_features(net, stripes().take(range(40)), training(tmp_path), "training")
    cached_features(net, stripes(), training(tmp_path), "training")
    assert computed == [20, 20, 20]


def test_other_weights_or_pictures_have_files_of_their_own(net: Network, tmp_path: Path) -> None:
    images = stripes()
    one = cached_features(net, images, training(tmp_path), "training")
    two = cached_features(build(Architecture(width=4), 3, 1, seed=3), images, training(tmp_path), "training")
    three = cached_features(build(Architecture(width=4, resolution=16), 3, 1, seed=2), images, training(tmp_path), "training")
    cached_features(net, stripes(seed=5), training(tmp_path), "training")
    assert len(list(tmp_path.iterdir())) == 4
    assert not np.allclose(one, two)
    assert not np.allclose(one, three)


def test_the_head_makes_no_difference_to_the_files(net: Network, tmp_path: Path) -> None:
    cached_features(net, stripes(), training(tmp_path), "training")
    with torch.no_grad():
        net.head.weight.zero_()
    cached_features(net, stripes(), training(tmp_path), "training")
    assert len(list(tmp_path.iterdir())) == 1


def test_no_images_have_no_features(net: Network, tmp_path: Path) -> None:
    assert cached_features(net, stripes().take([]), training(tmp_path), "training").shape == (0, 32)
