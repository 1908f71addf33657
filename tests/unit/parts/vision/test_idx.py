"""idx files: what is whole is read, plain or gzipped; each way to be broken has its sentence."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.core.errors import DataError
from pipelines.parts.vision.idx import pair, read_idx


def idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
PACKED = gzip.compress(idx(IMAGES), mtime=0)
"""Without the time: it would be in the names of tests, and processes that collect them in different seconds would disagree."""


@pytest.mark.parametrize("packed", [True, False])
def test_plain_and_gzipped_whatever_the_name(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx(IMAGES)) if packed else idx(IMAGES))
    found = read_idx(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, IMAGES)


@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=4), cut=st.integers(1, 20))
def test_every_shape_is_read_and_every_cut_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], cut: int
) -> None:
    path = tmp_path_factory.mktemp("idx") / "file"
    array = np.ones(shape, dtype=np.uint8)
    path.write_bytes(idx(array))
    assert read_idx(path).shape == tuple(shape)
    path.write_bytes(idx(array)[:-cut])
    with pytest.raises(DataError, match="file"):
        read_idx(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"^images is empty \(0 bytes\); fetch it again"),
        (idx(IMAGES)[:-1], "the header promises 3 x 4 x 5 = 60 values, found 59; it was cut off or its counts are wrong"),
        (idx(IMAGES) + b"\0", "the header promises 3 x 4 x 5 = 60 values, found more"),
        (idx(IMAGES)[:10], "cut off within its header of 16 bytes"),
        (b"\x89PNG\r\n\x1a\n", "images is no idx file: expected a magic number like 0x00000803, found 0x89504e47"),
        (b"\0\0\x08\0", "is no idx file: .* found 0x00000800"),
        (b"\0\0\x07\3", "is no idx file: .* found 0x00000703"),
        (b"\0\0", "is no idx file"),
        (b"\0\0\x0d\1\0\0\0\0", r"expected values of type unsigned byte \(0x08\), found float \(0x0d\)"),
        (PACKED[:-12], "images is cut off or damaged"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "images is cut off or damaged"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "images")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*gone; check the path"):
        read_idx(tmp_path / "gone")


def test_a_wrong_count_does_not_ask_for_the_memory_it_names(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**20, 2**10) + b"\1\2\3")
    with pytest.raises(DataError, match="found 3; it was cut off or its counts are wrong"):
        read_idx(path)


def test_images_get_their_labels() -> None:
    images = pair(IMAGES, np.array([2, 0, 1], dtype=np.uint8), fold=1)
    assert images.shape == (1, 4, 5)
    assert images.label.tolist() == [2, 0, 1]
    assert images.fold.tolist() == [1, 1, 1]


def test_a_label_file_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match="expected one label an image, found 3 images and 2 labels; fetch both again"):
        pair(IMAGES, np.zeros(2, dtype=np.uint8))


def test_swapped_files_are_refused() -> None:
    with pytest.raises(DataError, match="the files may have been swapped"):
        pair(np.zeros(3, dtype=np.uint8), IMAGES)
