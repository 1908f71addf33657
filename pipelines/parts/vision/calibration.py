"""Temperature scaling: one number that makes a network as sure as it is right (Guo et al., ICML 2017, section 4.2).

Dividing all logits by one temperature changes no ranking, so accuracy stays what it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import DataError

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures looked at."""


def temperature(logits: NDArray[np.floating[Any]], label: NDArray[np.integer[Any]]) -> float:
    """The temperature in `LOWEST`..`HIGHEST` with the smallest mean log-loss of ``softmax(logits / temperature)``.

    `logits` (rows, classes) and `label` (rows,) are of validation rows, never of rows the network was fitted on. The
    log-loss is convex in the inverse temperature, so a bounded search finds its minimum; the result is never worse than
    temperature 1 on these rows. Raises DataError when there are no rows or a logit is not finite.
    """
    from scipy.optimize import minimize_scalar

    scores = np.asarray(logits, dtype=np.float64)
    if not len(scores) or not np.isfinite(scores).all():
        found = f"{np.count_nonzero(~np.isfinite(scores)):,} that are not" if len(scores) else "no rows"
        raise DataError(f"temperature scaling wants finite logits of validation rows, found {found}; look at the training curve")
    bounds = (1 / HIGHEST, 1 / LOWEST)
    found = minimize_scalar(lambda inverse: log_loss(scores * inverse, label), bounds=bounds, method="bounded")
    return 1.0 if log_loss(scores, label) <= found.fun else float(1 / found.x)


def log_loss(logits: NDArray[np.floating[Any]], label: NDArray[np.integer[Any]]) -> float:
    """Mean negative logarithm of the true class's probability, from logits, without overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(label)), label]))
