"""Learning rates over a training: a factor of the highest rate for each step."""

from __future__ import annotations

import math
from typing import Any, Protocol

from pipelines.parts.vision.recipe import Recipe


class Schedule(Protocol):
    """The factor of each step, and what it has learned from validation so far."""

    def factor(self, step: int) -> float:
        """In 0..1, for steps from 0."""

    def observe(self, loss: float) -> None:
        """The validation loss of an epoch."""

    def state(self) -> dict[str, Any]:
        """What a resumed training must know."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""


class Constant:
    """A linear rise over the first `warm` steps, then 1."""

    def __init__(self, total: int, warm: int) -> None:
        self.total = total
        self.warm = warm

    def factor(self, step: int) -> float:
        return self.rise(step) if step < self.warm else self.shape(step)

    def rise(self, step: int) -> float:
        return (step + 1) / self.warm

    def shape(self, step: int) -> float:
        """The factor after the rise."""
        return 1.0

    def observe(self, loss: float) -> None:
        """Nothing is learned."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """There is nothing to take up."""


class Cosine(Constant):
    """Half a cosine from 1 to 0 (Loshchilov and Hutter 2017, without restarts)."""

    def shape(self, step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * (step - self.warm) / max(1, self.total - self.warm)))


class Plateau(Constant):
    """Multiplied by `drop` each time the validation loss has not fallen for `wait` epochs."""

    def __init__(self, total: int, warm: int, drop: float, wait: int) -> None:
        super().__init__(total, warm)
        self.drop = drop
        self.wait = wait
        self.drops = 0
        self.best = math.inf
        self.waited = 0

    def shape(self, step: int) -> float:
        return self.drop**self.drops

    def observe(self, loss: float) -> None:
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(self.best, loss)
        if self.waited >= self.wait:
            self.drops, self.waited = self.drops + 1, 0

    def state(self) -> dict[str, Any]:
        return {"drops": self.drops, "best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        self.drops, self.best, self.waited = int(state["drops"]), float(state["best"]), int(state["waited"])


def schedule(recipe: Recipe, total: int) -> Schedule:
    """The recipe's schedule over `total` steps."""
    warm = round(recipe.warmup * total)
    known: dict[str, Schedule] = {
        "constant": Constant(total, warm),
        "cosine": Cosine(total, warm),
        "plateau": Plateau(total, warm, recipe.drop, recipe.wait),
    }
    return known[recipe.schedule]
