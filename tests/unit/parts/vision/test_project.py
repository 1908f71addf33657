"""Most of the contract for images, on a small project with coloured stripes as classes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.config import Split, Strict
from pipelines.core.contract import Window
from pipelines.core.errors import DataError
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.project import VisionProject, png

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPLIT = Split(valid=0.25, test=0.2)


class Levels(VisionProject):
    """Grey levels: the class of an image is how bright it is."""

    name = "levels"
    classes = ("dark", "middle", "bright")
    shape = (1, 8, 8)
    given = 60
    aside = 0

    def images(self, raw: Path) -> Images:
        random = np.random.default_rng(1)
        rows = self.given + self.aside
        label = np.arange(rows) % 3
        pixels = random.integers(0, 60, (rows, 1, 8, 8)) + 80 * label[:, None, None, None]
        return Images.of(pixels.astype(np.uint8), label, np.arange(rows) >= self.given)


class Published(Levels):
    """The same with test images that its publisher set aside."""

    aside = 30


def everything(project: VisionProject) -> Images:
    return project.load(Path(), Window(None, NOW))


def test_without_published_test_images_all_three_sets_are_drawn_by_class() -> None:
    splits = Levels().split(everything(Levels()), SPLIT, seed=3)
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [33, 15, 12]
    assert all(np.bincount(part.label).min() == np.bincount(part.label).max() for part in (splits.valid, splits.test))


def test_published_test_images_are_the_test_set() -> None:
    splits = Published().split(everything(Published()), SPLIT, seed=3)
    assert (splits.test.fold == 1).all()
    assert len(splits.test) == 30
    assert (len(splits.train), len(splits.valid)) == (45, 15)


def test_equal_images_stay_on_one_side() -> None:
    once = everything(Levels())
    twice = Images.concat([once, once])
    splits = Levels().split(twice, SPLIT, seed=3)
    sets = [{image.tobytes() for image in part.pixels} for part in (splits.train, splits.valid, splits.test)]
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]


def test_a_class_missing_from_a_set_is_named() -> None:
    images = everything(Levels())
    few = images.take([*np.flatnonzero(images.label != 2), *np.flatnonzero(images.label == 2)[:2]])
    with pytest.raises(DataError, match=r"the (valid|test) set of .* images has none of bright; every class must be in train"):
        Levels().split(few, SPLIT, seed=3)


def test_a_monitoring_window_holds_no_image_that_was_trained_on() -> None:
    def positions(rows: int) -> range:
        return range(rows // 2)

    window = Published().load(Path(), Window(datetime(2025, 12, 1, tzinfo=UTC), NOW, positions))
    assert len(window) == 15
    assert (window.fold == 1).all()
    training = Published().load(Path(), Window(None, NOW, positions))
    assert (training.fold == 0).sum() == 60
    assert (training.fold == 1).sum() == 15


def test_images_without_a_label_are_not_among_the_labelled() -> None:
    images = everything(Levels())
    label = images.label.copy()
    label[[0, 5]] = -1
    known = Levels().labelled(Images.of(images.pixels, label))
    assert known.label.tolist() == [number for row, number in enumerate(images.label.tolist()) if row not in (0, 5)]


def test_what_a_caller_sends_is_what_was_trained_on() -> None:
    images = everything(Levels())
    sent = Levels().example(images, 4)
    assert (Levels().read(sent).pixels == images.pixels[:4]).all()
    assert base64.b64decode(sent[0]["image"]).startswith(b"\x89PNG")
    assert len(Levels().read([])) == 0


def test_answers_name_the_file_they_are_about(tmp_path: Path) -> None:
    images = everything(Levels())
    for number in (1, 0):
        (tmp_path / f"{number}.png").write_bytes(png(images.pixels[number]))
    project = Levels()
    data = project.read(tmp_path)
    answers = project.answer(None, data, {"probability": np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])})  # type: ignore[arg-type]
    assert [(answer["image"], answer["class"]) for answer in answers] == [("0.png", "dark"), ("1.png", "bright")]
    assert answers[0]["probabilities"] == {"dark": 0.7, "middle": 0.2, "bright": 0.1}
    alone = project.answer(None, images.take([0]), {"probability": np.array([[0.7, 0.2, 0.1]])})  # type: ignore[arg-type]
    assert "image" not in alone[0]


def test_slices_are_classes_and_quarters_by_brightness() -> None:
    images = everything(Levels())
    slices = Levels().slices(images)
    assert sorted(slices) == [
        "brightness=brightest quarter", "brightness=darkest quarter", "brightness=second quarter", "brightness=third quarter",
        "class=bright", "class=dark", "class=middle",
    ]  # fmt: skip
    darkest = images.pixels[list(slices["brightness=darkest quarter"])].mean()
    assert darkest < images.pixels[list(slices["brightness=second quarter"])].mean()
    assert sum(len(positions) for name, positions in slices.items() if name.startswith("brightness")) == len(images)


def test_the_feature_report_counts_each_class_in_each_set() -> None:
    report = Levels().features(Levels().split(everything(Levels()), SPLIT, seed=3), Strict()).report
    assert report["rows"] == {"train": 33, "valid": 15, "test": 12}
    assert report["classes"]["dark"] == {"train": 11, "valid": 5, "test": 4}
    assert report["shape"] == {"channels": 1, "height": 8, "width": 8}
