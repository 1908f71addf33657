"""A set of images holds together, and its file gives it back or says that it is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.errors import DataError
from pipelines.parts.arrays import Arrays
from pipelines.parts.vision.images import Images, ImagesCodec


def some(rows: int = 5, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    return Images.of(rng.integers(0, 256, (rows, 3, 4, 6), dtype=np.uint8), rng.integers(0, 3, rows), np.arange(rows) % 2)


def test_what_is_not_given_is_unknown() -> None:
    images = Images.of(np.zeros((2, 1, 4, 6), dtype=np.uint8))
    assert images.label.tolist() == [-1, -1]
    assert images.fold.tolist() == [0, 0]
    assert images.size.tolist() == [[6, 4], [6, 4]], "width, height"
    assert images.shape == (1, 4, 6)


def test_take_and_concat() -> None:
    images = some()
    taken = images.take([3, 1])
    assert (taken.pixels == images.pixels[[3, 1]]).all()
    assert taken.label.tolist() == images.label[[3, 1]].tolist()
    both = Images.concat([taken, images.take([])])
    assert len(both) == 2
    assert both.fold.tolist() == [1, 1]


def test_images_of_two_shapes_are_not_joined() -> None:
    other = Images.of(np.zeros((1, 1, 4, 6), dtype=np.uint8))
    with pytest.raises(DataError, match=r"expected images of one shape .* found \[\(1, 4, 6\), \(3, 4, 6\)\]"):
        Images.concat([some(), other])
    with pytest.raises(DataError, match="found none"):
        Images.concat([])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pixels": np.zeros((2, 1, 4, 4))}, "expected pixels as uint8 from 0 to 255, found float64"),
        ({"pixels": np.zeros((2, 4, 4), dtype=np.uint8)}, r"expected pixels of shape \(rows, channels, height, width\), found"),
        ({"pixels": np.zeros((2, 1, 4, 4), dtype=np.uint8), "label": [1]}, r"expected label of shape \(2,\)"),
        ({"pixels": np.zeros((2, 1, 4, 4), dtype=np.uint8), "size": [[1, 2]]}, r"expected size of shape \(2, 2\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Images.of(**arrays)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(0, 4), seed=st.integers(0, 5))
def test_the_codec_gives_back_what_it_was_given(tmp_path_factory: pytest.TempPathFactory, rows: int, seed: int) -> None:
    folder = tmp_path_factory.mktemp("codec")
    images = some(rows, seed)
    ImagesCodec().write(images, folder / "a")
    ImagesCodec().write(images, folder / "b")
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    found = ImagesCodec().read(folder / "a")
    for name, array in vars(images).items():
        assert getattr(found, name).dtype == array.dtype
        assert np.array_equal(getattr(found, name), array)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    ImagesCodec().write(some(), path)
    content = path.read_bytes()
    middle = content.index(some().pixels[2].tobytes())
    for broken in (content[: len(content) // 2], b"", b"no archive", content[:middle] + b"\0\1\2" + content[middle + 3 :]):
        path.write_bytes(broken)
        with pytest.raises(DataError, match="images holds no whole set of images"):
            ImagesCodec().read(path)


def test_a_file_of_other_arrays_is_refused(tmp_path: Path) -> None:
    Arrays().write({"probability": np.zeros(3)}, tmp_path / "other")
    with pytest.raises(DataError, match="holds no whole set of images"):
        ImagesCodec().read(tmp_path / "other")


def test_the_manifest_says_what_a_row_is() -> None:
    assert ImagesCodec().columns(some()) == {
        "pixels": "uint8 (3, 4, 6)",
        "label": "int64 ()",
        "fold": "int8 ()",
        "size": "int32 (2,)",
        "name": "<U1 ()",
    }
