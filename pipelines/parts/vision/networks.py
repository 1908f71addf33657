"""The networks there are, by name, and those of our own build."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipelines.core.errors import ConfigError, did_you_mean
from pipelines.parts.vision.backbones import EfficientNetLite0
from pipelines.parts.vision.network import Network
from pipelines.parts.vision.recipe import Architecture


def build(architecture: Architecture, classes: int, channels: int, seed: int = 0) -> Network:
    """A network with random weights, the same for the same seed. Raises ConfigError for an unknown name."""
    from pipelines.parts.vision.hub import Hub

    known: dict[str, Callable[[Architecture, int, int], Network]] = {
        "small_cnn": SmallCNN,
        "residual": ResidualNet,
        "efficientnet_lite0": EfficientNetLite0,
        "hub": Hub,
    }
    name = architecture.name.partition(":")[0]
    if name not in known:
        raise ConfigError(f"architecture.name is {architecture.name!r}, there is no such network; {did_you_mean(name, known)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return known[name](architecture, classes, channels)


class SmallCNN(Network):
    """Five 3 x 3 convolutions in three stages, each stage at half the resolution of the one before; averages at the end."""

    def __init__(self, architecture: Architecture, classes: int, channels: int) -> None:
        w = architecture.width
        super().__init__(architecture, 4 * w, classes, channels)
        self.stages = nn.Sequential(
            nn.Sequential(convolution(channels, w), convolution(w, w, pool=True)),
            nn.Sequential(convolution(w, 2 * w), convolution(2 * w, 2 * w, pool=True)),
            convolution(2 * w, 4 * w),
        )

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.stages(self.prepare(x))
        return maps

    def depths(self) -> list[nn.Module]:
        return [*self.stages, self.head]


class ResidualNet(Network):
    """Nine layers, after the ResNet-9 of D. Page (DAWNBench CIFAR-10, 2018): three stages that halve the resolution and double
    the channels, each followed by a residual pair of convolutions; the maximum over the picture at the end.

    The pair of the first stage runs at half resolution, where most of the time would go otherwise.
    """

    def __init__(self, architecture: Architecture, classes: int, channels: int) -> None:
        w = architecture.width
        super().__init__(architecture, 8 * w, classes, channels)
        self.stages = nn.Sequential(
            convolution(channels, w),
            *(
                nn.Sequential(convolution(before, after, pool=True), Residual(after))
                for before, after in ((w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w))
            ),
        )

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.stages(self.prepare(x))
        return maps

    def pool(self, x: Tensor) -> Tensor:
        return self.maps(x).amax((2, 3))

    def depths(self) -> list[nn.Module]:
        return [*self.stages, self.head]


class Residual(nn.Module):
    """Two convolutions beside the identity (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out


def convolution(before: int, after: int, pool: bool = False) -> nn.Sequential:
    """3 x 3 convolution, halved resolution if asked, batch normalisation, ReLU.

    Pooling comes first, so that normalisation and ReLU have a quarter of the numbers to go through.
    """
    halve = [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), *halve, nn.BatchNorm2d(after), nn.ReLU(inplace=True))
