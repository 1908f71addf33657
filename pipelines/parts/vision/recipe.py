"""What params.yaml says of a network and of how it is trained. Light: nothing here needs torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pipelines.core.config import Strict


class Architecture(Strict):
    """Which network, and its options."""

    name: str = "residual"
    """small_cnn, residual, efficientnet_lite0, or hub:<name on the hub, or a local folder>."""
    width: int = Field(24, ge=1)
    """Channels after the first convolution (small_cnn, residual)."""
    resolution: int | None = Field(None, ge=8)
    """Side in pixels that images are resized to inside the network; None: as they come, or what a backbone was made for."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the features hidden from the head while training."""
    mirrored: bool = False
    """Whether a picture is judged together with its mirror image: often a little more accurate, at twice the time of a
    prediction. For classes that a mirror does not change."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The configuration of a backbone from a hub, filled in when it is loaded, so that its model needs no hub again."""


class Augmentation(Strict):
    """How much is changed at most; 0 is off."""

    flip: float = Field(0.0, ge=0, le=1)
    """Probability that left and right are swapped."""
    shift: int = Field(0, ge=0)
    """Pixels, in each direction."""
    rotate: float = Field(0.0, ge=0, le=180)
    """Degrees, either way."""
    zoom: float = Field(0.0, ge=0, lt=1)
    """0.1: from 1.1 times smaller to 1.1 times larger."""
    erase: float = Field(0.0, ge=0, le=1)
    """Probability that a rectangle is replaced by noise."""
    brightness: float = Field(0.0, ge=0, le=1)
    """0.2: between 0.8 and 1.2 times as bright."""
    contrast: float = Field(0.0, ge=0, le=1)
    """0.2: deviations from the picture's mean grey between 0.8 and 1.2 times as large."""
    saturation: float = Field(0.0, ge=0, le=1)
    """0.2: deviations from grey between 0.8 and 1.2 times as large."""
    fill: Literal["black", "edge"] = "black"
    """What moves in from outside: black for articles cut out on a black ground, the edge's pixels for photographs."""


class Recipe(Strict):
    """How a network is trained. The defaults suit networks with batch normalisation trained from scratch."""

    epochs: int = Field(30, ge=1)
    batch: int = Field(128, ge=2)
    """Images in one step."""
    shards: int = Field(2, ge=1)
    """Parts of a batch that are computed side by side, each on a core and with batch statistics of its own; see `shards`. The
    outcome depends on it, not on how many cores there are."""
    steps: int = Field(1, ge=1)
    """Fewest steps in an epoch: a training set with fewer batches than that is passed several times."""

    optimiser: Literal["sgd", "adam"] = "sgd"
    """sgd: with Nesterov's momentum; adam: AdamW (decoupled decay)."""
    rate: float = Field(0.1, gt=0)
    """Highest learning rate."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of sgd; first decay rate of adam."""
    decay: float = Field(5e-4, ge=0)
    """Weight decay of matrices and kernels; biases and normalisation have none."""
    clip: float | None = Field(None, gt=0)
    """Longest gradient; longer ones are scaled down to it."""

    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup: float = Field(0.15, ge=0, lt=1)
    """Share of all steps in which the rate rises linearly from zero."""
    drop: float = Field(0.3, gt=0, lt=1)
    """plateau: what the rate is multiplied with ..."""
    wait: int = Field(3, ge=1)
    """... after so many epochs without a lower validation loss."""
    patience: int | None = Field(None, ge=1)
    """Early stopping: epochs without a better validation accuracy; None trains to the end."""

    smoothing: float = Field(0.1, ge=0, lt=1)
    """Label smoothing: probability that is spread evenly over all classes."""
    focus: float = Field(0.0, ge=0)
    """Exponent of the focal loss; 0 is cross-entropy."""
    weights: Literal["none", "balanced", "effective"] = "none"
    """Class weights in the loss, see `losses.class_weights`."""
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    """balanced: every class is drawn equally often."""

    average: float = Field(0.998, ge=0, lt=1)
    """Share of the old in the moving average of the weights at each step; the average is what is kept. 0: no average."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: mixed bfloat16 where the device computes in it."""
    augmentation: Augmentation = Augmentation()
