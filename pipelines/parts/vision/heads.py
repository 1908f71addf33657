"""A linear head on the features of a network that stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipelines.core.contract import Training
from pipelines.parts.vision import checkpoints
from pipelines.parts.vision.device import device, one_thread
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.losses import Loss
from pipelines.parts.vision.model import Floats, features_of
from pipelines.parts.vision.network import Network

CHUNK = 4096
"""Images whose features are kept in one file: a killed process repeats at most so many."""
ITERATIONS = 200
"""Of L-BFGS, at most, for one penalty."""


def cached_features(net: Network, images: Images, training: Training, what: str) -> Floats:
    """Features of all images, (rows, d), computed once: kept in `training.workdir` under names made of weights and pixels.

    Raises InfrastructureError when there is no room for them.
    """
    net = net.to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = _digest(net)
    parts = [np.zeros((0, net.head.in_features), dtype=np.float32)]
    for start in range(0, len(images), CHUNK):
        part = images.take(np.arange(start, min(start + CHUNK, len(images))))
        name = hashlib.sha256(weights + part.pixels.tobytes() + str(part.pixels.shape).encode()).hexdigest()[:16]
        file = training.workdir / f"features-{name}.safetensors"
        if not file.is_file():
            checkpoints.save(file, {"features": torch.from_numpy(features_of(net, part))}, {"rows": len(part)})
        parts.append(checkpoints.load(file)[0]["features"].numpy())
        training.progress(start + len(part), len(images), f"features of {what} images")
    net.to("cpu")
    return np.concatenate(parts)


@dataclass(frozen=True)
class Rows:
    """Features (rows, d) and labels (rows,)."""

    features: Floats
    label: NDArray[np.int64]


def fit_head(
    head: nn.Linear, train: Rows, valid: Rows, penalties: Sequence[float], loss: Loss
) -> tuple[float, list[dict[str, float]]]:
    """Fit a head by logistic regression, with the penalty on its weights that gives the lowest validation loss.

    Features are standardised on the training rows, and that is put into the head: it takes features as they come. From the
    strongest penalty to the weakest, each fit starts where the one before ended. Gives the penalty, and an entry for each.
    The outcome depends neither on the number of cores nor on where in memory the features lie.
    """
    with one_thread():
        return _fitted(head, train, valid, penalties, loss)


def _fitted(
    head: nn.Linear, train: Rows, valid: Rows, penalties: Sequence[float], loss: Loss
) -> tuple[float, list[dict[str, float]]]:
    mean, std = train.features.mean(0), np.maximum(train.features.std(0), 1e-6)
    # copied into torch's own memory, whose alignment is always the same: the last bits of a matrix product depend on it
    x, y = torch.from_numpy((train.features - mean) / std).clone(), torch.from_numpy(train.label)
    vx, vy = torch.from_numpy((valid.features - mean) / std).clone(), torch.from_numpy(valid.label)
    weight = torch.zeros(head.out_features, head.in_features, requires_grad=True)
    bias = torch.zeros(head.out_features, requires_grad=True)
    curve: list[dict[str, float]] = []
    best: tuple[Tensor, Tensor] = (weight, bias)
    for penalty in sorted(penalties, reverse=True):
        value = _minimise(weight, bias, x, y, penalty, loss)
        with torch.no_grad():
            logits = functional.linear(vx, weight, bias)
            valid_loss = float(functional.cross_entropy(logits, vy))
            accuracy = float((logits.argmax(1) == vy).float().mean())
        if not curve or valid_loss < min(one["valid_loss"] for one in curve):
            best = weight.detach().clone(), bias.detach().clone()
        curve.append({"penalty": penalty, "loss": value, "valid_loss": valid_loss, "valid_accuracy": accuracy})
    with torch.no_grad():
        scaled = best[0] / torch.from_numpy(std)
        head.weight.copy_(scaled)
        head.bias.copy_(best[1] - scaled @ torch.from_numpy(mean))
    return min(curve, key=lambda one: one["valid_loss"])["penalty"], curve


def _minimise(weight: Tensor, bias: Tensor, x: Tensor, y: Tensor, penalty: float, loss: Loss) -> float:
    """Change weight and bias to where the penalised loss is smallest; the loss there, without the penalty."""
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value: Tensor = loss(functional.linear(x, weight, bias), y) + 0.5 * penalty * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return float(loss(functional.linear(x, weight, bias), y))


def _digest(net: Network) -> bytes:
    """What the features of a network depend on: its architecture and all its weights but the head's."""
    digest = hashlib.sha256(net.architecture.model_dump_json().encode())
    for name, tensor in net.state_dict().items():
        if not name.startswith("head."):
            digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    return digest.digest()
