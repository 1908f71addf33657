"""Corruptions do what their names say, more with each severity, and the same for the same seed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pipelines.parts.vision import robustness
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.quality import quality
from pipelines.parts.vision.robustness import CORRUPTIONS, SEVERITIES, corrupt, draw, measure


def images(rows: int = 60, channels: int = 1) -> Images:
    """Squares on grey; the label says whether the square is bright."""
    label = np.arange(rows) % 2
    pixels = np.full((rows, channels, 20, 20), 100, dtype=np.uint8)
    pixels[:, :, 6:14, 6:14] = np.where(label, 220, 20)[:, None, None, None]
    return Images.of(pixels, label)


class Middle:
    """Says bright when the middle of the image is brighter than its corner."""

    def probability(self, images: Images) -> np.ndarray:
        gap = images.pixels[:, 0, 10, 10].astype(int) - images.pixels[:, 0, 0, 0]
        return np.stack([gap <= 0, gap > 0], 1).astype(np.float32)


class Level(Middle):
    """Says bright when the middle is brighter than a fixed level, so that light fools it."""

    def probability(self, images: Images) -> np.ndarray:
        bright = images.pixels[:, 0, 10, 10] > 120
        return np.stack([~bright, bright], 1).astype(np.float32)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_get_further_from_what_they_were(name: str, channels: int) -> None:
    before = images(channels=channels)
    distance = [np.abs(corrupt(before, name, severity, 0).pixels.astype(int) - before.pixels).mean() for severity in SEVERITIES]
    assert distance[0] == 0
    assert all(np.diff(distance) > 0)
    assert (corrupt(before, name, 3, 0).label == before.label).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_same_seed_same_images(name: str) -> None:
    np.testing.assert_array_equal(corrupt(images(), name, 4, 1).pixels, corrupt(images(), name, 4, 1).pixels)


def test_noise_has_the_standard_deviation_it_says() -> None:
    grey = Images.of(np.full((50, 1, 20, 20), 128, dtype=np.uint8))
    found = corrupt(grey, "noise", 3, 0).pixels.astype(float) / 255
    assert found.std() == pytest.approx(CORRUPTIONS["noise"].levels[2], rel=0.05)


def test_blur_takes_sharpness_and_keeps_brightness() -> None:
    before, after = quality(images()), quality(corrupt(images(), "blur", 5, 0))
    assert (after["sharpness"] < before["sharpness"] / 4).all()
    np.testing.assert_allclose(after["brightness"], before["brightness"], atol=2)


def test_shift_moves_the_square_and_draws_out_the_border() -> None:
    after = corrupt(images(), "shift", 5, 0).pixels[:, 0]
    assert set(np.unique(after)) == {20, 100, 220}  # nothing new comes in
    moved = np.abs(after.astype(int) - images().pixels[:, 0]).max(axis=(1, 2)) > 0
    assert moved.all()


def test_brightness_goes_up_for_one_half_and_down_for_the_other() -> None:
    change = quality(corrupt(images(), "brightness", 1, 0))["brightness"] - quality(images())["brightness"]
    assert sorted(np.sign(change)) == [-1] * 30 + [1] * 30


def test_contrast_shrinks_by_the_share_it_says() -> None:
    ratio = quality(corrupt(images(), "contrast", 2, 0))["contrast"] / quality(images())["contrast"]
    np.testing.assert_allclose(ratio, 1 - CORRUPTIONS["contrast"].levels[1], atol=0.02)


def test_a_planted_weakness_shows_where_it_is(tmp_path: Path) -> None:
    found = measure({"relative": Middle(), "absolute": Level()}, images(), seed=0)  # type: ignore[dict-item]
    place = list(CORRUPTIONS).index("brightness")
    assert found["relative"][place, 1] == 1
    assert found["absolute"][place, 5] < 0.8
    assert (found["relative"][:, 0] == 1).all()
    draw(tmp_path, found, images(), 0)
    with (tmp_path / "plots" / "robustness.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["severity"] for row in rows if row["model"] == "absolute"] == ["0", "1", "2", "3", "4", "5"]
    assert float(rows[11]["brightness"]) == pytest.approx(found["absolute"][place, 5], rel=1e-5)
    assert (tmp_path / "robustness.png").stat().st_size < 150_000


@pytest.mark.parametrize(("rows", "most", "used"), [(60, None, 60), (300, None, 100), (3000, None, 300), (300, 7, 7)])
def test_the_sample_is_bounded(rows: int, most: int | None, used: int) -> None:
    seen = set()

    class Counting(Middle):
        def probability(self, images: Images) -> np.ndarray:
            seen.add(len(images))
            return super().probability(images)

    measure({"one": Counting()}, images(rows), seed=0, most=most)  # type: ignore[dict-item]
    assert seen == {used}
    assert used <= robustness.MOST
