"""The exploration report: its numbers are right, its page shows them, and the same images give the same files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.core.contract import Splits
from pipelines.parts.vision.explore import explore
from pipelines.parts.vision.images import Images

CLASSES = ("<coat>", "shoe", "bag")
PICTURES = ("classes", "samples", "means", "quality", "alike_within", "alike_across")


def splits(channels: int = 1) -> Splits[Images]:
    """30 training images, 6 for validation, 12 for test; test image 4 nearly equals training image 7."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (48, channels, 8, 8), dtype=np.uint8)
    pixels[36 + 4] = pixels[7] // 2 + 20
    pixels[2] = pixels[1]
    label = np.arange(48) % 3
    label[2] = label[1]
    whole = Images.of(pixels, label)
    return Splits(whole.take(range(30)), whole.take(range(30, 36)), whole.take(range(36, 48)))


def facts(folder: Path, given: Splits[Images], classes: tuple[str, ...] = CLASSES) -> dict[str, Any]:
    folder.mkdir()
    explore(given, classes, folder)
    found: dict[str, Any] = json.loads((folder / "exploration.json").read_text())
    return found


@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_pictures_and_page(tmp_path: Path, channels: int) -> None:
    given = splits(channels)
    found = facts(tmp_path / "a", given)
    assert found["shape"] == {"channels": channels, "height": 8, "width": 8}
    assert found["rows"] == {"train": 30, "valid": 6, "test": 12}
    assert [(one["class"], one["train"], one["valid"], one["test"]) for one in found["classes"]] == [
        ("<coat>", 10, 2, 4),
        ("shoe", 11, 2, 4),
        ("bag", 9, 2, 4),
    ]
    assert sum(one["share"] for one in found["classes"]) == pytest.approx(1)
    for channel, told in enumerate(found["pixels"]["train"]):
        assert told["mean"] == pytest.approx(given.train.pixels[:, channel].mean())
        assert told["deviation"] == pytest.approx(given.train.pixels[:, channel].std())
        assert told["black"] == pytest.approx((given.train.pixels[:, channel] == 0).mean())
    for name in PICTURES:
        with Image.open(tmp_path / "a" / f"{name}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 5, "something is drawn"
    page = (tmp_path / "a" / "index.html").read_text()
    assert set(re.findall(r'src="(\w+)\.png"', page)) == set(PICTURES)
    assert "&lt;coat&gt;" in page
    assert "<coat>" not in page
    assert "http" not in page, "nothing is fetched"


def test_near_duplicates_within_and_across_splits(tmp_path: Path) -> None:
    near = facts(tmp_path / "a", splits())["near_duplicates"]
    assert near["compared"] == near["images"] == 48
    assert near["pairs"] == 2
    between = {tuple(one["splits"]): one for one in near["between"]}
    assert {pair: (one["pairs"], one["other_label"]) for pair, one in between.items() if one["pairs"]} == {
        ("train", "train"): (1, 0),
        ("train", "test"): (1, 0),
    }
    assert sum(one["expected"] for one in between.values()) == pytest.approx(2)
    [across] = near["closest"]["across"]
    assert [(one["split"], one["row"]) for one in across["images"]] == [("train", 7), ("test", 4)]
    assert across["images"][0]["class"] == CLASSES[splits().train.label[7]]
    [within] = near["closest"]["within"]
    assert [(one["split"], one["row"]) for one in within["images"]] == [("train", 1), ("train", 2)]
    assert within["correlation"] == pytest.approx(1)


def test_the_same_images_give_the_same_files(tmp_path: Path) -> None:
    facts(tmp_path / "a", splits())
    facts(tmp_path / "b", splits())
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted([*(f"{name}.png" for name in PICTURES), "exploration.json", "index.html"])
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_class_without_images_and_none_that_look_alike(tmp_path: Path) -> None:
    given = splits()
    apart = Splits(given.train.take([0, 3, 4, 5]), given.valid, given.test.take(range(4)))
    found = facts(tmp_path / "a", apart, (*CLASSES, "hat"))
    assert found["classes"][3] == {
        "class": "hat", "train": 0, "valid": 0, "test": 0, "share": 0.0, "brightness": None, "contrast": None,
    }  # fmt: skip
    assert found["near_duplicates"]["pairs"] == 0
    assert "hat" in (tmp_path / "a" / "index.html").read_text()


def test_many_classes_are_capped_in_pictures_and_not_in_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = Images.of(rng.integers(0, 256, (90, 1, 8, 8), dtype=np.uint8), np.arange(90) % 30)
    classes = tuple(f"class {number}" for number in range(30))
    found = facts(tmp_path / "a", Splits(whole.take(range(30)), whole.take(range(30, 60)), whole.take(range(60, 90))), classes)
    assert len(found["classes"]) == 30
    assert "Pictures show the first 20 classes" in (tmp_path / "a" / "index.html").read_text()
