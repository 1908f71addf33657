"""Quality figures against pictures whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.parts.vision import quality as module
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.quality import quality


def test_a_plain_picture_has_brightness_only() -> None:
    found = quality(Images.of(np.full((1, 1, 5, 7), 100, dtype=np.uint8), size=[[640, 480]]))
    assert {name: values[0] for name, values in found.items()} == {
        "brightness": 100,
        "contrast": 0,
        "sharpness": 0,
        "width": 640,
        "height": 480,
    }


def test_contrast_and_sharpness_of_a_checkerboard() -> None:
    board = (np.indices((6, 6)).sum(axis=0) % 2 * 200).astype(np.uint8)
    found = quality(Images.of(board[None, None]))
    assert found["contrast"][0] == pytest.approx(100)
    assert found["sharpness"][0] == pytest.approx(800**2), "the Laplacian is 800 on one colour and -800 on the other"


def test_colour_counts_as_people_see_it() -> None:
    pixels = np.zeros((3, 3, 4, 4), dtype=np.uint8)
    for channel in range(3):
        pixels[channel, channel] = 255
    assert quality(Images.of(pixels))["brightness"] == pytest.approx([0.299 * 255, 0.587 * 255, 0.114 * 255], rel=1e-4)


def test_blur_lowers_sharpness() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 1, 16, 16)).astype(np.uint8)
    blurred = (noise[..., :-1, :-1] / 4 + noise[..., 1:, :-1] / 4 + noise[..., :-1, 1:] / 4 + noise[..., 1:, 1:] / 4).astype(
        np.uint8
    )
    assert quality(Images.of(blurred))["sharpness"][0] < 0.5 * quality(Images.of(noise))["sharpness"][0]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = Images.of(np.random.default_rng(1).integers(0, 256, (7, 3, 4, 4)).astype(np.uint8))
    whole = quality(images)
    monkeypatch.setattr(module, "CHUNK", 100)
    for name, values in quality(images).items():
        assert np.array_equal(values, whole[name])


@pytest.mark.parametrize("shape", [(0, 1, 28, 28), (2, 1, 2, 2)])
def test_nothing_and_tiny_pictures(shape: tuple[int, ...]) -> None:
    found = quality(Images.of(np.zeros(shape, dtype=np.uint8)))
    assert all(len(values) == shape[0] for values in found.values())
    assert not found["sharpness"].any()
