"""Near-duplicates: the same as comparing every pair with every pair, and never more memory than allowed."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.parts.vision import near as module
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.near import near_duplicates


def shapes(rows: int, seed: int = 0, side: int = 12, channels: int = 1) -> Images:
    """Smooth pictures: noise of 4 x 4 blocks."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 200, (rows, channels, 4, 4))
    return Images.of(np.kron(coarse, np.ones((1, 1, side // 4, side // 4))).astype(np.uint8))


def with_twins(images: Images, twins: dict[int, int], noise: int = 4) -> Images:
    rng = np.random.default_rng(1)
    for row, source in twins.items():
        pixels = images.pixels[source] * 0.8 + 30 + rng.integers(-noise, noise + 1, images.shape)
        images.pixels[row] = pixels.clip(0, 255)
    return images


def by_hand(images: Images, threshold: float) -> list[tuple[int, int]]:
    flat = images.pixels.reshape(len(images), -1).astype(float)
    correlation = np.corrcoef(flat)
    return [(i, j) for i in range(len(flat)) for j in range(i + 1, len(flat)) if correlation[i, j] >= threshold]


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.995])
def test_the_same_as_comparing_all_pairs(threshold: float) -> None:
    images = with_twins(shapes(300), {20: 10, 30: 10, 299: 0})
    found = near_duplicates(images, threshold)
    assert sorted(map(tuple, found.pairs.tolist())) == by_hand(images, threshold)
    assert (np.diff(found.correlation) <= 0).all(), "most alike first"
    flat = images.pixels.reshape(300, -1).astype(float)
    for (first, second), correlation in zip(found.pairs[:20], found.correlation, strict=False):
        assert correlation == pytest.approx(np.corrcoef(flat[first], flat[second])[0, 1], abs=1e-5)


def test_brightness_and_contrast_do_not_count_and_shifts_do() -> None:
    images = shapes(50)
    images.pixels[1] = images.pixels[0] // 2 + 100
    images.pixels[2] = np.roll(images.pixels[3], 3, axis=2)
    assert near_duplicates(images).pairs.tolist() == [[0, 1]]


@pytest.mark.parametrize(("side", "channels"), [(64, 1), (128, 3), (12, 3)])
def test_large_and_coloured_pictures_are_compared_small_and_grey(side: int, channels: int) -> None:
    images = with_twins(shapes(40, side=side, channels=channels), {7: 3})
    assert near_duplicates(images).pairs.tolist() == [[3, 7]]


def test_averaging_keeps_the_mean_for_any_side() -> None:
    for side in (1, 20, 32, 33, 50, 224):
        weights = module._averaging(side)
        assert weights.shape == (min(side, 32), side)
        assert weights.sum(axis=1) == pytest.approx(1)
        assert (weights @ np.full(side, 9.0, dtype=np.float32)) == pytest.approx(9)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_images_have_few_pairs(rows: int) -> None:
    found = near_duplicates(shapes(rows))
    assert found.pairs.shape == (0, 2)
    assert found.expected(np.zeros(rows, dtype=np.int64), 0, 0) == 0


def test_blank_images_are_like_nothing() -> None:
    assert len(near_duplicates(Images.of(np.full((9, 1, 12, 12), 50, dtype=np.uint8))).pairs) == 0


def test_pairs_of_groups_and_what_chance_would_give() -> None:
    images = with_twins(shapes(100), {1: 0, 60: 2, 61: 3, 99: 98})
    group = np.repeat([0, 1], [60, 40])
    found = near_duplicates(images)
    assert [len(found.of(group, *pair)) for pair in ((0, 0), (0, 1), (1, 0), (1, 1))] == [1, 2, 2, 1]
    assert found.expected(group, 0, 1) == pytest.approx(4 * 60 * 40 / (100 * 99 / 2))
    everywhere = sum(found.expected(group, *pair) for pair in ((0, 0), (0, 1), (1, 1)))
    assert everywhere == pytest.approx(4)


def test_images_all_alike_are_judged_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES", 1_000)
    images = with_twins(shapes(400), dict.fromkeys(range(1, 400), 0), noise=1)
    found = near_duplicates(images, seed=3)
    assert 20 < len(found.compared) < 80
    assert set(found.pairs.ravel()) <= set(found.compared)
    assert len(found.pairs) == len(found.compared) * (len(found.compared) - 1) / 2
    assert np.array_equal(found.pairs, near_duplicates(images, seed=3).pairs)
