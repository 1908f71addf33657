"""Which training rows make each batch of an epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def shuffled(label: Rows, batch: int, steps: int, rng: np.random.Generator) -> Rows:
    """(steps, batch) rows: every row once before any row comes again, in an order of chance."""
    return _passes(np.arange(len(label)), batch * steps, rng).reshape(steps, batch)


def balanced(label: Rows, batch: int, steps: int, rng: np.random.Generator) -> Rows:
    """(steps, batch) rows in which every class that has any comes equally often (give or take one): rows of rare classes are
    drawn several times an epoch, rows of common ones not in every epoch.
    """
    classes, share = np.unique(label), -(-batch * steps // len(np.unique(label)))
    drawn = np.stack([_passes(np.flatnonzero(label == one), share, rng) for one in classes])
    drawn = rng.permuted(drawn, axis=0)  # which classes have one more is left to chance
    chosen = drawn.T.reshape(-1)[: batch * steps]
    return rng.permutation(chosen).reshape(steps, batch)


SAMPLERS = {"shuffled": shuffled, "balanced": balanced}


def batches(rows: int, batch: int, least: int) -> tuple[int, int]:
    """Images in a batch and batches in an epoch. What does not fill a batch is left out; each epoch leaves out others."""
    size = min(batch, rows)
    return size, max(rows // size, least)


def _passes(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    """`count` of the rows, pass after pass."""
    return np.concatenate([rng.permutation(rows) for _ in range(-(-count // len(rows)))])[:count]
