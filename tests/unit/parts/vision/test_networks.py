from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.core.errors import ConfigError
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture
from tests.unit.parts.vision.stripes import stripes

OWN = ["small_cnn", "residual"]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 33)])
def test_logits_are_the_head_of_pooled_maps(name: str, channels: int, side: int) -> None:
    net = build(Architecture(name=name, width=4), 5, channels).eval()
    x = torch.rand(2, channels, side, side)
    maps, features = net.maps(x), net.embed(x)
    assert maps.ndim == 4
    assert maps.shape[:2] == features.shape == (2, net.head.in_features)
    assert net(x).shape == (2, 5)
    assert torch.equal(net(x), net.head(features))


@pytest.mark.parametrize("name", OWN)
def test_the_depths_are_the_whole_network(name: str) -> None:
    net = build(Architecture(name=name, width=4), 5, 1)
    known = [id(parameter) for part in net.depths() for parameter in part.parameters()]
    assert sorted(known) == sorted(id(parameter) for parameter in net.parameters())
    assert net.depths()[-1] is net.head


@pytest.mark.parametrize("name", OWN)
def test_the_seed_decides_the_weights(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.rand(seed + 1)  # draws by others make no difference
        return nn.utils.parameters_to_vector(build(Architecture(name=name, width=4), 3, 1, seed).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_normalisation_is_learned_from_pixels_and_done_inside() -> None:
    images = stripes(channels=3)
    net = build(Architecture(width=4), 3, 3)
    net.normalise(images.pixels)
    prepared = net.prepare(torch.from_numpy(images.pixels).float() / 255)
    assert prepared.mean((0, 2, 3)).abs().max() < 1e-4
    assert torch.allclose(prepared.std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-4)


def test_blank_pictures_do_not_divide_by_zero() -> None:
    net = build(Architecture(width=4), 3, 1)
    net.normalise(np.zeros((4, 1, 8, 8), dtype=np.uint8))
    assert torch.isfinite(net.eval()(torch.zeros(1, 1, 8, 8))).all()


def test_pictures_are_resized_inside_when_asked() -> None:
    net = build(Architecture(width=4, resolution=16), 3, 1)
    assert net.prepare(torch.rand(2, 1, 28, 20)).shape == (2, 1, 16, 16)


@pytest.mark.parametrize("name", OWN)
def test_mirror_images_are_judged_together_once_training_is_over(name: str) -> None:
    net, plain = (build(Architecture(name=name, width=4, mirrored=mirrored), 3, 1).eval() for mirrored in (True, False))
    x = torch.rand(2, 1, 12, 12)
    with torch.no_grad():
        assert torch.allclose(net(x), net(x.flip(3)), atol=1e-6)
        assert torch.allclose(net(x), (plain(x) + plain(x.flip(3))) / 2, atol=1e-6)
        assert not torch.allclose(plain(x), plain(x.flip(3)), atol=1e-6)
        assert torch.equal(net.train()(x), plain.train()(x))


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(ConfigError, match=r"architecture.name is 'residuals', there is no such network; did you mean 'residual'"):
        build(Architecture(name="residuals"), 3, 1)


def test_a_network_without_published_weights_says_which_have_some() -> None:
    with pytest.raises(ConfigError, match="'residual' has no published weights; transfer needs efficientnet_lite0 or hub:<name>"):
        build(Architecture(width=4), 3, 1).load_published(lambda name: pytest.fail("nothing is fetched"))
