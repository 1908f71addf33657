"""What is kept of a trained network, and its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import ConfigError, DataError
from pipelines.parts.vision.images import Images

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.parts.vision.network import Network
    from pipelines.parts.vision.recipe import Architecture

Floats = NDArray[np.float32]

BATCH = 64
"""Images predicted at once: on a CPU the maps of more leave its cache, which costs a deep network up to half its speed."""
AXES = 8
"""Principal components of the embeddings that monitoring watches."""
DECIMALS = 6
"""Of their entries and of the temperature: last bits depend on the number of LAPACK's threads, and the same images are to give
the same model."""


@dataclass(frozen=True)
class Projection:
    """From features to the axes along which training images differ most."""

    mean: Floats
    """(d,)"""
    components: Floats
    """(d, AXES), orthonormal; zero where the training images have fewer dimensions."""

    @classmethod
    def of(cls, features: Floats) -> Projection:
        """Mean and principal components of features (rows, d); each component's largest entry is positive."""
        mean = features.mean(0)
        _, _, axes = np.linalg.svd(features.astype(np.float64) - mean, full_matrices=False)
        axes = axes[:AXES]
        axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
        components = np.zeros((features.shape[1], AXES), dtype=np.float32)
        components[:, : len(axes)] = np.round(axes.T, DECIMALS) + 0.0  # no negative zeros
        return cls(mean.astype(np.float32), components)

    def __call__(self, features: Floats) -> Floats:
        """(rows, AXES)"""
        return np.asarray((features - self.mean) @ self.components, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class VisionModel:
    """A classifier of images: a network, the temperature that makes its probabilities honest, and axes to watch drift on."""

    net: Network
    classes: tuple[str, ...]
    temperature: float
    """Logits are divided by it before the softmax (Guo et al. 2017)."""
    projection: Projection

    def __post_init__(self) -> None:
        """Evaluation mode, channels last in memory: on a CPU twice as fast as channels first, and not the same to the last
        bit, so it must not depend on whether the network was trained or read."""
        import torch

        self.net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def of(
        cls, net: Network, classes: Sequence[str], features: Floats, valid_features: Floats, valid_label: NDArray[np.int64]
    ) -> VisionModel:
        """A trained network with its axes from `features` of training images and its temperature from validation images."""
        from pipelines.parts.vision.calibration import temperature

        logits = _headed(net, valid_features)
        return cls(net, tuple(classes), round(temperature(logits, valid_label), DECIMALS), Projection.of(features))

    @property
    def architecture(self) -> Architecture:
        """What the network is."""
        return self.net.architecture

    def logits(self, images: Images) -> Floats:
        """(rows, classes), before the temperature."""
        return run(self.net, images, self.net, len(self.classes))

    def probability(self, images: Images) -> Floats:
        """(rows, classes), each row sums to 1."""
        return softmax(self.logits(images) / np.float32(self.temperature))

    def watched(self, images: Images) -> tuple[Floats, Floats]:
        """Probabilities (rows, classes), and features on the axes of the projection (rows, AXES), in one pass."""
        features = features_of(self.net, images)
        return softmax(_headed(self.net, features) / np.float32(self.temperature)), self.projection(features)


def features_of(net: Network, images: Images) -> Floats:
    """What the head of a network sees: (rows, d)."""
    return run(net, images, net.embed, net.head.in_features)


def _headed(net: Network, features: Floats) -> Floats:
    """Logits of features: (rows, classes)."""
    import torch

    from pipelines.parts.vision.device import one_thread

    with one_thread(), torch.inference_mode():
        logits: Floats = net.head(torch.from_numpy(features)).numpy()
    return logits


def run(net: Network, images: Images, compute: Callable[[Tensor], Tensor], width: int) -> Floats:
    """What `compute` gives for all images, (rows, width), float32: BATCH images at a time, in evaluation mode.

    Each thread is at work on batches of its own: they need not wait for each other in every layer, and the result is the same
    to the last bit however many there are.
    """
    import torch

    from pipelines.parts.vision.device import pool, ready, threads

    place = next(net.parameters()).device
    net.eval()

    def batch(start: int) -> Floats:
        with torch.inference_mode():
            pixels = torch.from_numpy(images.pixels[start : start + BATCH])
            return np.asarray(compute(ready(pixels, place)).float().cpu().numpy())

    with pool(threads()) as workers:
        return np.concatenate([np.zeros((0, width), dtype=np.float32), *workers.map(batch, range(0, len(images), BATCH))])


def softmax(logits: Floats) -> Floats:
    """Of each row; the largest logit is taken off first, so that nothing overflows."""
    power = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(power / power.sum(axis=1, keepdims=True), dtype=np.float32)


class VisionModelCodec:
    """A `VisionModel` in a folder: tensors in model.safetensors, everything else in model.json. Nothing in them can run."""

    name = "vision-model"
    WEIGHTS = "model.safetensors"
    FACTS = "model.json"

    def write(self, value: VisionModel, path: Path) -> None:
        import torch
        from safetensors.torch import save

        tensors = {f"net.{name}": tensor.detach().contiguous() for name, tensor in value.net.state_dict().items()}
        tensors["projection.mean"] = torch.from_numpy(value.projection.mean)
        tensors["projection.components"] = torch.from_numpy(value.projection.components)
        path.mkdir(parents=True, exist_ok=True)
        (path / self.WEIGHTS).write_bytes(save(dict(sorted(tensors.items()))))
        facts = {
            "architecture": value.architecture.model_dump(),
            "channels": value.net.channels,
            "classes": value.classes,
            "temperature": value.temperature,
        }
        (path / self.FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def read(self, path: Path) -> VisionModel:
        """The model. Raises DataError when a file is missing, damaged, or does not fit the other."""
        from pydantic import ValidationError
        from safetensors import SafetensorError
        from safetensors.torch import load

        from pipelines.parts.vision.networks import build
        from pipelines.parts.vision.recipe import Architecture

        try:
            tensors = load((path / self.WEIGHTS).read_bytes())
            facts = json.loads((path / self.FACTS).read_text(encoding="utf-8"))
            classes = tuple(str(one) for one in facts["classes"])
            net = build(Architecture.model_validate(facts["architecture"]), len(classes), int(facts["channels"]))
            net.load_state_dict({name[4:]: tensor for name, tensor in tensors.items() if name.startswith("net.")})
            projection = Projection(tensors["projection.mean"].numpy(), tensors["projection.components"].numpy())
            if projection.components.shape != (net.head.in_features, AXES):
                raise ValueError(f"axes of shape {projection.components.shape} do not fit {net.head.in_features} features")
            return VisionModel(net, classes, float(facts["temperature"]), projection)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, ValidationError, ConfigError) as error:
            what = " ".join(str(error).split("\n")[:2])  # torch lists every tensor, the first will do
            raise DataError(
                f"{path} holds no whole model: {what}; run the training stage again, or take the model from where it came again"
            ) from error
