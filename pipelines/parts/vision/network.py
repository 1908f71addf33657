"""What every network is: from pixels to logits. It takes plain pixels in 0..1; all that is done to them first happens inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipelines.core.errors import ConfigError
from pipelines.parts.vision.recipe import Architecture


class Network(nn.Module, ABC):
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

    @abstractmethod
    def maps(self, x: Tensor) -> Tensor:
        """The last feature maps, (n, c, h, w)."""

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

    @abstractmethod
    def depths(self) -> list[nn.Module]:
        """Its parts in the order pixels pass them, the head last: what fine-tuning unfreezes from behind."""

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
