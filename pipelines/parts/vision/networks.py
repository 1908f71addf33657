"""Networks from pixels to logits. They take plain pixels in 0..1; all that is done to pixels first happens inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipelines.core.errors import ConfigError, did_you_mean
from pipelines.parts.vision.recipe import Architecture


class Network(nn.Module):
    """Base of all networks: `forward(x) = head(embed(x))`, where `embed` pools `maps`.

    `x` is (n, channels, height, width), float, 0..1. Subclasses say `maps`, and may `pool` in a way of their own.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture, features: int, classes: int, channels: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.channels = channels
        """Of the pixels it normalises."""
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))
        self.dropout = nn.Dropout(architecture.dropout)
        self.head = nn.Linear(features, classes)

    def prepare(self, x: Tensor) -> Tensor:
        """Resized where the architecture says so, and normalised: (n, channels, resolution, resolution)."""
        side = self.architecture.resolution
        if side is not None and x.shape[-2:] != (side, side):
            x = functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
        return (x - self.mean) / self.std

    def maps(self, x: Tensor) -> Tensor:
        """The last feature maps, (n, c, h, w)."""
        raise NotImplementedError

    def pool(self, x: Tensor) -> Tensor:
        """Features of pictures as they are, (n, d)."""
        return self.maps(x).mean((2, 3))

    def embed(self, x: Tensor) -> Tensor:
        """Features, (n, d); once training is over and `architecture.mirrored`, the mean of a picture's and its mirror image's."""
        features = self.pool(x)
        if self.architecture.mirrored and not self.training:
            features = (features + self.pool(x.flip(3))) / 2
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (n, classes)."""
        logits: Tensor = self.head(self.dropout(self.embed(x)))
        return logits

    def depths(self) -> list[nn.Module]:
        """Its parts in the order pixels pass them, the head last: what fine-tuning unfreezes from behind."""
        raise NotImplementedError

    def load_published(self, resource: Callable[[str], Path]) -> None:
        """Take the published weights; `resource` gives a folder with the files of an entry of the data catalog.

        Raises ConfigError for a network without any.
        """
        raise ConfigError(
            f"{self.architecture.name!r} has no published weights; transfer needs efficientnet_lite0 or hub:<name> as architecture.name"
        )

    def normalise(self, pixels: NDArray[np.uint8]) -> None:
        """Take mean and standard deviation of each channel from training pixels (n, channels, height, width)."""
        level = np.arange(256) / 255
        for channel in range(pixels.shape[1]):
            share = np.bincount(pixels[:, channel].reshape(-1), minlength=256) / max(1, pixels[:, channel].size)
            mean = float(share @ level)
            self.mean[0, channel] = mean
            self.std[0, channel] = max(1e-3, float(np.sqrt(share @ (level - mean) ** 2)))  # pictures may all be blank


def build(architecture: Architecture, classes: int, channels: int, seed: int = 0) -> Network:
    """A network with random weights, the same for the same seed. Raises ConfigError for an unknown name."""
    from pipelines.parts.vision.backbones import EfficientNetLite0
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
