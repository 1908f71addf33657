"""Images that look alike, found among all pairs without comparing all pairs.

The measure is the correlation of grey levels, 1 for pictures that differ in brightness and contrast only. It sees no
likeness between a picture and its shifted or mirrored twin, and it says nothing of why two pictures are alike: two plain
trousers may be two pairs of trousers. Compare what is found with what chance alone would give (`expected`).

The search is exact. With mean taken off and length set to one, correlation and distance are two names for one thing
(distance² = 2 - 2 · correlation), and no distance grows when points are projected on some of their principal axes. So all
pairs that are near in full are among the pairs near in the projection, which a k-d tree finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.parts.vision.images import Images
from pipelines.parts.vision.quality import greys

THRESHOLD = 0.995
"""Least correlation of a near-duplicate. On Fashion-MNIST pairs above it are, by eye, photographs of one article, or of one
print or cut in several; at 0.99 most are different articles."""
SIDE = 32
"""Larger pictures are averaged down to this many pixels a side before they are compared."""
AXES = 24
"""Principal axes searched in; more would cost more and let fewer strangers through."""
FITTED = 5_000
"""Images from which the axes are found; any axes are right, good ones are quick."""
CANDIDATES = 3_000_000
"""Most pairs looked at in full. Data so alike that there are more are judged by a sample."""


@dataclass(frozen=True)
class Near:
    """Pairs of images that look alike, most alike first."""

    pairs: NDArray[np.int64]
    """(pairs, 2), positions, the smaller first."""
    correlation: NDArray[np.float64]
    """(pairs,)"""
    threshold: float
    compared: NDArray[np.int64]
    """Positions of the images that were compared: all, or a sample."""

    def of(self, group: NDArray[np.int64], first: int, second: int) -> NDArray[np.int64]:
        """Which pairs join these two groups; `group` has one number an image."""
        low, high = min(first, second), max(first, second)
        joined = np.sort(group[self.pairs], axis=1)
        return np.flatnonzero((joined[:, 0] == low) & (joined[:, 1] == high))

    def expected(self, group: NDArray[np.int64], first: int, second: int) -> float:
        """How many pairs would join these two groups if the images had been dealt to the groups by chance."""
        sizes = np.bincount(group[self.compared], minlength=max(first, second) + 1)
        images = len(self.compared)
        ways = sizes[first] * sizes[second] if first != second else sizes[first] * (sizes[first] - 1) / 2
        return float(len(self.pairs) * ways / (images * (images - 1) / 2)) if images > 1 else 0.0


def near_duplicates(images: Images, threshold: float = THRESHOLD, seed: int = 0) -> Near:
    """All pairs whose grey levels correlate by at least `threshold`; of a seeded sample where they are too many to list."""
    from scipy.spatial import cKDTree

    points = _unit(images)
    compared = np.arange(len(points))
    radius = float(np.sqrt(2 - 2 * threshold)) + 1e-4  # single precision may place a point that far off
    random = np.random.default_rng(seed)
    projected = _projected(points, random)
    tree = cKDTree(projected, leafsize=AXES)
    if (likely := _likely_pairs(projected, tree, radius, random)) > CANDIDATES:
        share = float(np.sqrt(CANDIDATES / likely))
        compared = np.sort(random.choice(len(points), max(2, int(len(points) * share)), replace=False))
        tree = cKDTree(projected[compared], leafsize=AXES)
    candidates = compared[tree.query_pairs(radius, output_type="ndarray").reshape(-1, 2)]
    correlation = _correlations(points, candidates)
    found = correlation >= threshold
    pairs, correlation = np.sort(candidates[found], axis=1).astype(np.int64), correlation[found]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -correlation))
    return Near(pairs[order], correlation[order], threshold, compared)


def _unit(images: Images) -> NDArray[np.float32]:
    """Grey levels of small pictures, mean 0 and length 1: shape (rows, pixels). One grey throughout gives zeros."""
    rows, columns = (_averaging(side) for side in images.shape[1:])
    points = np.empty((len(images), len(rows) * len(columns)), dtype=np.float32)
    start = 0
    for grey in greys(images.pixels):
        whole = (len(rows), len(columns)) == grey.shape[1:]
        points[start : start + len(grey)] = (grey if whole else rows @ grey @ columns.T).reshape(len(grey), -1)
        start += len(grey)
    points -= points.mean(axis=1, keepdims=True)
    length = np.linalg.norm(points, axis=1, keepdims=True)
    points /= np.where(length > 1e-3, length, np.inf)
    return points


def _averaging(side: int) -> NDArray[np.float32]:
    """What turns `side` pixels into at most `SIDE` by averaging those that each new one covers: (new, side)."""
    small = min(side, SIDE)
    edges = np.linspace(0, side, small + 1)
    pixel = np.arange(side)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights = np.clip(covered, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _projected(points: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Coordinates on the first principal axes, (rows, axes)."""
    sample = points if len(points) <= FITTED else points[np.sort(random.choice(len(points), FITTED, replace=False))]
    centred = sample - sample.mean(axis=0) if len(sample) else sample
    axes: NDArray[np.float32] = np.linalg.eigh(centred.T @ centred).eigenvectors  # by rising variance
    return np.asarray(points @ axes[:, -AXES:], dtype=np.float32)


def _likely_pairs(points: NDArray[np.float32], tree: object, radius: float, random: np.random.Generator) -> float:
    """About how many pairs of points lie within the radius, from the neighbours of a few."""
    from scipy.spatial import cKDTree

    asked = min(len(points), 200)
    if not asked:
        return 0.0
    few = cKDTree(points[random.choice(len(points), asked, replace=False)])
    neighbours = few.count_neighbors(tree, radius) / asked - 1  # each is its own neighbour
    return float(neighbours * len(points) / 2)


def _correlations(points: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each pair, in chunks, so that memory stays bounded."""
    chunks = np.array_split(pairs, len(pairs) // 20_000 + 1)
    found = [np.einsum("ij,ij->i", points[chunk[:, 0]], points[chunk[:, 1]]) for chunk in chunks]
    return np.concatenate(found).astype(np.float64)
