"""Gradients of a batch computed in parts, each by a thread of its own.

Splitting the batch beats splitting every operation: threads meet once a step instead of in each layer. Two threads inside every
operation burn up to twice the processor time of one, and take several times as long as one when other processes want the cores
too, almost all of it in the gradients of convolutions. The outcome depends on the number of parts, not on that of the cores.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TypeVar

import torch
from torch import Tensor, nn

from pipelines.parts.vision.device import pool, threads

R = TypeVar("R")


class Shards:
    """A network and twins that share its weights, not its gradients; a context in which torch's operations have one thread.

    Where a network draws random numbers of its own (dropout), its parts are computed one after the other, because all threads
    draw from one generator.
    """

    def __init__(self, net: nn.Module, count: int) -> None:
        self.net = net
        self.twins = [copy.deepcopy(net) for _ in range(count - 1)]
        for twin in self.twins:
            for own, shared in zip(twin.parameters(), net.parameters(), strict=True):
                own.data = shared.data
        self.workers = 1 if _draws(net) else min(count, threads())
        self.open = ExitStack()

    def __enter__(self) -> Shards:
        self.pool = self.open.enter_context(pool(self.workers))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.open.close()

    def follow(self) -> None:
        """Let the twins learn what the network learns, and hold still what it holds still."""
        for twin in self.twins:
            for own, leading in zip(twin.modules(), self.net.modules(), strict=True):
                own.training = leading.training
            for mine, theirs in zip(twin.parameters(), self.net.parameters(), strict=True):
                mine.requires_grad_(theirs.requires_grad)
        self._spread(_statistics(self.net))

    def gradient(
        self, compute: Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, R]], x: Tensor, label: Tensor
    ) -> list[tuple[float, R]]:
        """Leave in the network the gradient of the mean loss over a batch (n, ...), labels (n,).

        `compute` gives the mean loss of a part, and anything. Gives both for each part, the losses weighted: they add up.
        """
        nets = [self.net, *self.twins]

        def part(net: nn.Module, x: Tensor, label: Tensor, weight: float) -> tuple[float, R]:
            net.zero_grad(set_to_none=True)
            loss, other = compute(net, x, label)
            (loss * weight).backward()  # type: ignore[no-untyped-call]
            return float(loss.detach()) * weight, other

        parts = zip(nets, x.tensor_split(len(nets)), label.tensor_split(len(nets)), strict=True)
        running = [self.pool.submit(part, net, some, of, len(of) / len(label)) for net, some, of in parts]
        done = [one.result() for one in running]
        self._gather()
        return done

    @torch.no_grad()
    def _gather(self) -> None:
        """Add the twins' gradients to the network's; batch statistics become the mean of all."""
        gradients, statistics = _gradients(self.net), _statistics(self.net)
        for twin in self.twins:
            torch._foreach_add_(gradients, _gradients(twin))
        if self.twins and statistics:
            for twin in self.twins:
                torch._foreach_add_(statistics, _statistics(twin))
            torch._foreach_mul_(statistics, 1 / (1 + len(self.twins)))
            self._spread(statistics)

    def _spread(self, statistics: list[Tensor]) -> None:
        """Give the twins these batch statistics."""
        for twin in self.twins:
            if statistics:
                torch._foreach_copy_(_statistics(twin), statistics)


def _gradients(net: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in net.parameters() if parameter.grad is not None]


def _statistics(net: nn.Module) -> list[Tensor]:
    """What batch normalisation has learned in those parts that learn."""
    return [
        buffer
        for module in net.modules()
        if module.training
        for buffer in module.buffers(recurse=False)
        if buffer.is_floating_point() and isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]


def _draws(net: nn.Module) -> bool:
    """Whether it draws random numbers while training."""
    return any(getattr(module, name, 0.0) for module in net.modules() for name in ("p", "drop_prob"))
