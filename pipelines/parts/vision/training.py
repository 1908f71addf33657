"""One loop that trains any network: seeded, resumable at every epoch, kept at its best on validation.

Every epoch draws its rows, its augmentation and its dropout from generators seeded with (seed, epoch), so that an epoch does
not depend on how the process came to it. After each epoch everything that the next one needs is in one file; a training
that was killed goes on from there and ends with the same weights, bit for bit, as one that was not (on a CPU, however many
cores it has).
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.core.contract import Training
from pipelines.core.errors import ConfigError, DataError
from pipelines.parts.vision import checkpoints
from pipelines.parts.vision.augment import augment
from pipelines.parts.vision.device import device, mixed, precision, ready
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.losses import Loss, class_weights
from pipelines.parts.vision.network import Network
from pipelines.parts.vision.recipe import Recipe
from pipelines.parts.vision.sampling import SAMPLERS, batches
from pipelines.parts.vision.schedules import schedule
from pipelines.parts.vision.shards import Shards

JUDGED = 64
"""Images judged at once."""
REPORTED = 20
"""Steps between two reports of progress."""


@dataclass(frozen=True)
class Group:
    """Parts of a network that learn alike."""

    parts: Sequence[nn.Module]
    scale: float = 1.0
    """Their learning rate in shares of the recipe's."""
    start: int = 0
    """The epoch, from 0, from which they learn; before it they do not change at all, batch statistics included."""

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for part in self.parts for parameter in part.parameters()]


@dataclass(frozen=True)
class Trained:
    """A network at its best epoch, and how it got there."""

    net: Network
    """On the CPU, in evaluation mode."""
    curve: list[dict[str, float]]
    """One entry an epoch, from 1."""
    facts: dict[str, Any]
    """Best epoch, device, precision, threads, parameters, and why training ended."""


@dataclass
class _Progress:
    """What the next epoch must know beside tensors."""

    epoch: int = 0
    """Epochs done."""
    step: int = 0
    """Steps done."""
    best: float = -math.inf
    """Best validation accuracy, its loss and its epoch."""
    best_loss: float = math.inf
    best_epoch: int = 0
    schedule: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)


def train(
    net: Network, train: Images, valid: Images, recipe: Recipe, training: Training, groups: Sequence[Group] = ()
) -> Trained:
    """Train `net` and return it at its best: highest validation accuracy, among equals the lowest loss.

    `groups` divides the network by learning rate and by when parts begin to learn; without any all of it learns alike. The
    checkpoint is in `training.workdir`, named after all that decides the outcome, so that different trainings never meet.
    Raises ConfigError when the loss is no number any more, InfrastructureError when there is no room for a checkpoint.
    """
    _refuse(train, valid, net)
    loop = _Loop(net, train, valid, recipe, training, groups or [Group([net])])
    gpus = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=gpus), loop.shards:  # dropout draws from torch's own generators
        return loop.run()


class _Loop:
    """State of one training."""

    def __init__(
        self, net: Network, train: Images, valid: Images, recipe: Recipe, training: Training, groups: Sequence[Group]
    ) -> None:
        self.recipe, self.training, self.groups = recipe, training, groups
        self.place = device()
        self.precision = precision(recipe.precision, self.place)
        how = [recipe.model_dump(), training.seed, self.place.type, self.precision]
        self.file = training.workdir / f"training-{_identity(net, train, valid, groups, how)}.safetensors"
        self.net = net.to(self.place, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net) if recipe.average else self.net
        """What is judged and kept."""
        self.best = _state(self.average)
        self.label = torch.from_numpy(train.label)
        self.pixels = torch.from_numpy(train.pixels)
        self.valid = torch.from_numpy(valid.pixels), torch.from_numpy(valid.label)
        weights = class_weights(train.label, net.head.out_features, recipe.weights)
        self.loss = Loss(weights, recipe.smoothing, recipe.focus).to(self.place)
        self.batch, self.steps = batches(len(train), recipe.batch, recipe.steps)
        self.shards = Shards(self.net, max(1, min(recipe.shards, self.batch // 2)) if self.place.type == "cpu" else 1)
        self.optimiser = _optimiser(groups, recipe)
        self.schedule = schedule(recipe, recipe.epochs * self.steps)
        self.progress = _Progress()

    def run(self) -> Trained:
        if self.file.is_file():
            self.restore()
        while self.progress.epoch < self.recipe.epochs and not self.waited():
            self.epoch()
            self.save()
        self.average.load_state_dict(self.best)
        ended = "early: validation did not improve" if self.progress.epoch < self.recipe.epochs else "after all epochs"
        net = self.average.to("cpu").eval().requires_grad_(True)
        facts = {
            "ended": ended,
            "best_epoch": self.progress.best_epoch,
            "device": self.place.type,
            "precision": self.precision,
            "threads": self.shards.workers,
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
        }
        return Trained(net, self.progress.curve, facts)

    def waited(self) -> bool:
        """Whether it is time for early stopping."""
        patience = self.recipe.patience
        return patience is not None and self.progress.epoch - self.progress.best_epoch >= patience

    def epoch(self) -> None:
        """One epoch: train, judge, and keep the weights when they are the best so far."""
        started, now = time.perf_counter(), self.progress
        seed = [self.training.seed, now.epoch]
        rows = SAMPLERS[self.recipe.sampler](self.label.numpy(), self.batch, self.steps, np.random.default_rng(seed))
        torch.manual_seed(_number(seed))
        draws = torch.Generator().manual_seed(_number([*seed, 1]))
        self.thaw()
        total, right = 0.0, 0
        for number, chosen in enumerate(torch.from_numpy(rows), start=1):
            loss, hits = self.step(chosen, draws)
            total, right = total + loss, right + hits
            if number % REPORTED == 0:
                self.report(number, total / number, right, started)
        trained = time.perf_counter() - started
        valid_loss, valid_accuracy = judge(self.average, *self.valid, self.precision, self.shards.pool.map)
        if not math.isfinite(valid_loss):  # the last step spoilt the weights, and no step comes after it that would notice
            self.give_up(valid_loss, "on the validation images", self.rate(now.step - 1))
        self.schedule.observe(valid_loss)
        now.epoch += 1
        if (valid_accuracy, -valid_loss) > (now.best, -now.best_loss):
            now.best, now.best_loss, now.best_epoch = valid_accuracy, valid_loss, now.epoch
            self.best = _state(self.average)
        now.curve.append(
            {
                "epoch": now.epoch,
                "rate": self.rate(now.step - 1),
                "loss": total / self.steps,
                "accuracy": right / rows.size,
                "valid_loss": valid_loss,
                "valid_accuracy": valid_accuracy,
                "images_per_second": rows.size / trained,
                "seconds": time.perf_counter() - started,
            }
        )
        self.report(0, total / self.steps, right, started, f", validation {valid_accuracy:.4f}")

    def step(self, rows: Tensor, draws: torch.Generator) -> tuple[float, int]:
        """One step of the optimiser: the loss before it, and how many of the rows were right."""
        x = ready(self.pixels.index_select(0, rows), self.place)
        x = augment(x, self.recipe.augmentation, draws).contiguous(memory_format=torch.channels_last)
        label = self.label.index_select(0, rows).to(self.place)
        rate = self.rate(self.progress.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        done = self.shards.gradient(self.compute, x, label)
        loss = sum(part for part, _ in done)
        if not math.isfinite(loss):
            self.give_up(loss, f"step {self.progress.step % self.steps + 1} of {self.steps}", rate)
        if self.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip, foreach=True)
        self.optimiser.step()
        self.progress.step += 1
        if self.average is not self.net:
            self.follow()
        return loss, sum(right for _, right in done)

    def compute(self, net: nn.Module, x: Tensor, label: Tensor) -> tuple[Tensor, int]:
        """The loss of some rows, and how many of them are right."""
        with mixed(self.precision, self.place):
            logits = net(x)
        return self.loss(logits.float(), label), int((logits.argmax(1) == label).sum())

    def rate(self, step: int) -> float:
        return self.recipe.rate * self.schedule.factor(step)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average a little towards the weights; batch statistics too. Early on it moves faster (TensorFlow's
        ExponentialMovingAverage with num_updates), so that it does not remember the random start."""
        done = self.progress.step
        keep = min(self.recipe.average, (1 + done) / (10 + done))
        torch._foreach_lerp_(_floats(self.average), _floats(self.net), 1 - keep)

    def thaw(self) -> None:
        """Let those groups learn whose epoch has come, and hold the others still."""
        self.net.train()
        for group in self.groups:
            learns = self.progress.epoch >= group.start
            for part in group.parts:
                part.train(learns).requires_grad_(learns)
        self.shards.follow()

    def give_up(self, loss: float, where: str, rate: float) -> None:
        kept = f"the state after epoch {self.progress.epoch} is kept in {self.file}" if self.progress.epoch else "nothing is kept"
        raise ConfigError(
            f"the loss is {loss} in epoch {self.progress.epoch + 1}, {where}, at learning rate {rate:.3g}; {kept}. Lower rate, set "
            "clip (1.0 is a start), lengthen warmup or set precision: float32 for this candidate in params.yaml"
        )

    def report(self, step: int, loss: float, right: int, started: float, more: str = "") -> None:
        """Tell how far the training is: steps of all steps."""
        now = self.progress
        seen = (step or self.steps) * self.batch
        self.training.progress(
            now.epoch * self.steps + step,
            self.recipe.epochs * self.steps,
            f"epoch {now.epoch + bool(step)} of {self.recipe.epochs}: loss {loss:.4f}, accuracy {right / seen:.4f}{more}, "
            f"{seen / (time.perf_counter() - started):,.0f} images/s",
        )

    # checkpoints ----------------------------------------------------------------------------------------------------------

    def save(self) -> None:
        self.progress.schedule = self.schedule.state()
        tensors = {**checkpoints.prefixed("net", _state(self.net)), **checkpoints.prefixed("best", self.best)}
        if self.average is not self.net:
            tensors |= checkpoints.prefixed("average", _state(self.average))
        for number, parameter in enumerate(self.parameters()):
            tensors |= checkpoints.prefixed(f"optimiser.{number}", self.optimiser.state.get(parameter, {}))
        checkpoints.save(self.file, tensors, vars(self.progress))

    def restore(self) -> None:
        tensors, state = checkpoints.load(self.file)
        self.progress = _Progress(**state)
        self.schedule.restore(self.progress.schedule)
        self.net.load_state_dict(checkpoints.part(tensors, "net"))
        if self.average is not self.net:
            self.average.load_state_dict(checkpoints.part(tensors, "average"))
        self.best = checkpoints.part(tensors, "best")
        for number, parameter in enumerate(self.parameters()):
            if kept := checkpoints.part(tensors, f"optimiser.{number}"):
                self.optimiser.state[parameter] = {name: _like(tensor, parameter) for name, tensor in kept.items()}

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimiser.param_groups for parameter in group["params"]]


def judge(
    net: nn.Module, pixels: Tensor, label: Tensor, precision: str = "float32", each: Callable[..., Iterable[Any]] = map
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a network on images (n, c, h, w), uint8; it is left in evaluation mode.

    `each` is `map`, or that of a pool of threads.
    """
    net.eval()
    place = next(net.parameters()).device

    def part(x: Tensor, y: Tensor) -> tuple[float, int]:
        with torch.inference_mode(), mixed(precision, place):
            logits, truth = net(ready(x, place)).float(), y.to(place)
            return float(functional.cross_entropy(logits, truth, reduction="sum")), int((logits.argmax(1) == truth).sum())

    done = list(each(part, torch.split(pixels, JUDGED), torch.split(label, JUDGED)))
    return sum(loss for loss, _ in done) / max(1, len(label)), sum(right for _, right in done) / max(1, len(label))


def _optimiser(groups: Sequence[Group], recipe: Recipe) -> torch.optim.Optimizer:
    """Matrices and kernels with decay, biases and normalisation without; fused, one pass over each tensor."""
    split: list[dict[str, Any]] = []
    for group in groups:
        for decayed in (True, False):
            chosen = [parameter for parameter in group.parameters() if (parameter.ndim > 1) == decayed]
            if chosen:
                split.append({"params": chosen, "scale": group.scale, "weight_decay": recipe.decay if decayed else 0.0})
    if recipe.optimiser == "adam":
        return torch.optim.AdamW(split, lr=recipe.rate, betas=(recipe.momentum, 0.999), fused=True)
    return torch.optim.SGD(split, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)


def _refuse(train: Images, valid: Images, net: Network) -> None:
    """Raises DataError for sets that cannot be trained on."""
    classes = net.head.out_features
    for name, part, least in (("training", train, 2), ("validation", valid, 1)):
        if len(part) < least:
            raise DataError(f"expected at least {least} {name} images, found {len(part)}; check split in params.yaml")
        if part.label.min() < 0 or part.label.max() >= classes:
            raise DataError(
                f"expected labels from 0 to {classes - 1} in the {name} set, found {part.label.min()} to {part.label.max()}; "
                "check the project's classes and the label file"
            )


def _identity(net: Network, train: Images, valid: Images, groups: Sequence[Group], how: Sequence[Any]) -> str:
    """A short name for all that decides the outcome: network and weights to start from, images, groups, and how it is trained."""
    learning = [(len(group.parameters()), group.scale, group.start) for group in groups]
    digest = hashlib.sha256(repr([net.architecture.model_dump(), learning, how]).encode())
    for name, tensor in net.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    for part in (train, valid):
        digest.update(part.pixels.tobytes())
        digest.update(part.label.tobytes())
    return digest.hexdigest()[:16]


def _state(net: nn.Module) -> dict[str, Tensor]:
    """A copy of everything a network has learned."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def _floats(net: nn.Module) -> list[Tensor]:
    """Weights and batch statistics, in a fixed order."""
    return [tensor for tensor in net.state_dict().values() if tensor.is_floating_point()]


def _like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A state of the optimiser where its parameter is, and laid out in memory like it; counts of steps have no layout."""
    return torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor.to(parameter.device)


def _number(seed: Sequence[int]) -> int:
    """One seed for torch from several numbers."""
    return int(np.random.SeedSequence(list(seed)).generate_state(1, np.uint64)[0] >> np.uint64(1))
