"""What training makes small: cross-entropy with label smoothing, class weights and focus on what is hard."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipelines.core.errors import ConfigError, did_you_mean

EFFECTIVE = 0.999
"""Beta of the effective number of samples: from about 1,000 rows on, more rows of a class count little more."""
SURE = 1e-7
"""Least doubt that focus sees: the gradient of a power below 1 is infinite at 0."""


class Loss(nn.Module):
    """Mean over the rows of w_y Σ_k t_k (1 - p_k)^focus (-log p_k).

    t is the label, with `smoothing` of it spread evenly over all classes; w the class weights, which are 1 on average over the
    training rows (not over these: the mean over a batch is then that of its parts). focus = 0 is cross-entropy; above, rows the
    network is sure of and right about count less (focal loss, Lin et al. 2017, eq. 4).
    """

    weights: Tensor | None

    def __init__(self, weights: NDArray[np.float32] | None = None, smoothing: float = 0.0, focus: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("weights", None if weights is None else torch.from_numpy(weights))
        self.smoothing = smoothing
        self.focus = focus

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss of logits (n, classes), float32, for labels (n,), int64."""
        log_p = functional.log_softmax(logits, dim=1)
        surprise = -log_p * (-torch.expm1(log_p)).clamp_min(SURE) ** self.focus if self.focus else -log_p
        of_label = surprise.gather(1, label[:, None]).squeeze(1)
        each = (1 - self.smoothing) * of_label + self.smoothing * surprise.mean(1)
        return each.mean() if self.weights is None else (each * self.weights[label]).mean()


def class_weights(label: NDArray[np.int64], classes: int, how: str) -> NDArray[np.float32] | None:
    """A weight for each class, mean 1 over the rows; None for "none".

    "balanced": inverse to the rows of the class, so that all classes weigh the same. "effective": inverse to the effective
    number of rows (1 - β^n) / (1 - β), between "none" and "balanced" (Cui et al. 2019). A class without rows weighs as if it
    had one. Raises ConfigError for another word.
    """
    count = np.maximum(np.bincount(label, minlength=classes), 1).astype(np.float64)
    known = {"none": np.ones(classes), "balanced": 1 / count, "effective": (1 - EFFECTIVE) / (1 - EFFECTIVE**count)}
    if how not in known:
        raise ConfigError(f"class weights {how!r} are not known; {did_you_mean(how, known)}")
    weights = known[how]
    return None if how == "none" else (weights / weights[label].mean()).astype(np.float32)
