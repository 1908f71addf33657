"""Ways to a classifier of images, each with what params.yaml says of it: from scratch, on frozen features, fine-tuned.

Light: torch is imported when something is fitted. None of them tunes anything, so `training.trials` is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from pipelines.core.config import Strict
from pipelines.core.contract import Fit, Training
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.model import VisionModel, features_of
from pipelines.parts.vision.recipe import Architecture, Recipe

if TYPE_CHECKING:
    from pipelines.parts.vision.network import Network
    from pipelines.parts.vision.training import Group

SAMPLE = 2000
"""Training images that the axes of a model's embeddings are fitted on."""


class FromScratch(Strict):
    """A network that starts from random weights."""

    architecture: Architecture = Architecture()
    recipe: Recipe = Recipe()

    def fit(self, train: Images, valid: Images, training: Training, classes: Sequence[str]) -> Fit[VisionModel]:
        """Trained on `train`, kept at its best on `valid`."""
        from pipelines.parts.vision.networks import build
        from pipelines.parts.vision.training import train as run

        net = build(self.architecture, len(classes), train.shape[0], training.seed)
        net.normalise(train.pixels)
        trained = run(net, train, valid, self.recipe, training)
        return _fit(self, trained.net, train, valid, training, classes, trained.facts, trained.curve)


class Frozen(Strict):
    """Published weights as they are, and a new linear head on their features, which are computed once.

    The head is multinomial logistic regression; nothing is augmented, since the features of an image are computed once.
    """

    architecture: Architecture = Architecture(name="efficientnet_lite0")
    penalties: tuple[float, ...] = Field((1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003), min_length=1)
    """Weights of the L2 penalty to choose from on validation; features are standardised first."""
    weights: Literal["none", "balanced", "effective"] = "none"
    """Class weights in the loss, see `losses.class_weights`."""

    def fit(self, train: Images, valid: Images, training: Training, classes: Sequence[str]) -> Fit[VisionModel]:
        """The head fitted on `train`, its penalty chosen on `valid`."""
        from pipelines.parts.vision.heads import Rows, cached_features, fit_head
        from pipelines.parts.vision.losses import Loss, class_weights

        net = _published(self.architecture, classes, train, training)
        seen = Rows(cached_features(net, train, training, "training"), train.label)
        held = Rows(cached_features(net, valid, training, "validation"), valid.label)
        loss = Loss(class_weights(train.label, len(classes), self.weights))
        penalty, curve = fit_head(net.head, seen, held, self.penalties, loss)
        sample = seen.features[_sample(len(train), training.seed)]
        model = VisionModel.of(net, classes, sample, held.features, valid.label)
        return Fit(model, {**self.model_dump(mode="json"), "penalty": penalty}, curve=curve)


class FineTuned(Strict):
    """Published weights that go on learning: first the head, then part after part behind it, each more slowly than the last."""

    architecture: Architecture = Architecture(name="efficientnet_lite0")
    recipe: Recipe = Recipe(epochs=6, batch=64, rate=0.02, decay=1e-4, average=0.99)
    unfreeze: int = Field(1, ge=0)
    """Epochs between a part and the one before it beginning to learn; 0: all at once (gradual unfreezing, Howard and Ruder
    2018)."""
    falloff: float = Field(0.7, gt=0, le=1)
    """Learning rate of a part in shares of that of the part after it (discriminative rates, same source)."""
    parts: int | None = Field(None, ge=1)
    """How many parts learn at all, counted from the head; None: all of them."""

    def fit(self, train: Images, valid: Images, training: Training, classes: Sequence[str]) -> Fit[VisionModel]:
        """Trained on `train` by the same loop as a network from scratch, kept at its best on `valid`."""
        from pipelines.parts.vision.training import train as run

        net = _published(self.architecture, classes, train, training)
        trained = run(net, train, valid, self.recipe, training, self.groups(net))
        return _fit(self, trained.net, train, valid, training, classes, trained.facts, trained.curve)

    def groups(self, net: Network) -> list[Group]:
        """Each part with its share of the rate and the epoch from which it learns, the head first."""
        from pipelines.parts.vision.training import Group

        parts = net.depths()[::-1]
        learning = len(parts) if self.parts is None else self.parts
        return [
            Group([part], self.falloff**depth, depth * self.unfreeze if depth < learning else self.recipe.epochs)
            for depth, part in enumerate(parts)
        ]


def _published(architecture: Architecture, classes: Sequence[str], train: Images, training: Training) -> Network:
    """A network with published weights and a head of chance."""
    from pipelines.parts.vision.networks import build

    net = build(architecture, len(classes), train.shape[0], training.seed)
    net.load_published(training.resource)
    return net


def _fit(
    params: Strict,
    net: Network,
    train: Images,
    valid: Images,
    training: Training,
    classes: Sequence[str],
    facts: dict[str, Any],
    curve: list[dict[str, float]],
) -> Fit[VisionModel]:
    """A trained network as a model, and how it came about."""
    sample = train.take(_sample(len(train), training.seed))
    model = VisionModel.of(net, classes, features_of(net, sample), features_of(net, valid), valid.label)
    return Fit(model, {**params.model_dump(mode="json"), **facts}, curve=curve)


def _sample(rows: int, seed: int) -> Any:
    """At most SAMPLE positions, in order."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:SAMPLE])
