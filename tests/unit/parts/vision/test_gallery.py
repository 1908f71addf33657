"""The gallery shows the surest mistakes, and only mistakes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.parts.vision import gallery
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.network import Network
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture

CLASSES = ("bag", "boot", "a class with a name that is far too long for its column")


def images(rows: int = 40, channels: int = 1, side: int = 16) -> Images:
    random = np.random.default_rng(0)
    return Images.of(random.integers(0, 256, (rows, channels, side, side), dtype=np.uint8), random.integers(0, 3, rows))


def probability(rows: int = 40) -> np.ndarray:
    return np.random.default_rng(1).dirichlet((0.3, 0.3, 0.3), rows)


def net(channels: int = 1) -> Network:
    return build(Architecture(name="small_cnn", width=4), 3, channels)


def lines(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "plots" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_worst_are_wrong_and_sorted_by_confidence() -> None:
    some, p = images(), probability()
    chosen = gallery.worst(some, p, most=5)
    assert (p[chosen].argmax(axis=1) != some.label[chosen]).all()
    wrong = p[p.argmax(axis=1) != some.label].max(axis=1)
    np.testing.assert_array_equal(p[chosen].max(axis=1), np.sort(wrong)[::-1][:5])


def test_images_whose_label_is_unknown_are_no_mistakes() -> None:
    some = images()
    assert not len(gallery.worst(Images.of(some.pixels), probability()))


@pytest.mark.parametrize("channels", [1, 3])
def test_both_pictures_are_small_and_the_same_twice(channels: int, tmp_path: Path) -> None:
    for attempt in ("first", "second"):
        folder = tmp_path / attempt
        folder.mkdir()
        gallery.mistakes(folder, images(channels=channels), probability(), CLASSES, "cnn")
        gallery.attention(folder, images(channels=channels), probability(), CLASSES, "cnn", net(channels))
    for name in ("mistakes", "attention"):
        content = (tmp_path / "first" / f"{name}.png").read_bytes()
        assert 5_000 < len(content) < 150_000
        assert content == (tmp_path / "second" / f"{name}.png").read_bytes()
        assert lines(tmp_path / "first", name) == lines(tmp_path / "second", name)
        assert len(lines(tmp_path / "first", name)) == min(gallery.MOST, len(gallery.worst(images(), probability(), 99)))


def test_the_table_says_what_was_taken_for_what(tmp_path: Path) -> None:
    gallery.mistakes(tmp_path, images(), probability(), CLASSES, "cnn")
    for row in lines(tmp_path, "mistakes"):
        position = int(row["row"])
        assert row["actual"] == CLASSES[images().label[position]] != row["predicted"]
        assert float(row["confidence"]) == pytest.approx(probability()[position].max(), rel=1e-5)


def test_heat_in_the_middle_is_a_share(tmp_path: Path) -> None:
    gallery.attention(tmp_path, images(), probability(), CLASSES, "cnn", net())
    assert all(0 <= float(row["heat_in_the_middle"]) <= 1 for row in lines(tmp_path, "attention"))


def test_no_mistakes_is_said(tmp_path: Path) -> None:
    right = np.eye(3)[images().label]
    gallery.mistakes(tmp_path, images(), right, CLASSES, "cnn")
    gallery.attention(tmp_path, images(), right, CLASSES, "cnn", net())
    with Image.open(tmp_path / "mistakes.png") as picture:
        assert len(picture.convert("L").getcolors() or []) > 2  # words on it
    assert lines(tmp_path, "mistakes") == []
