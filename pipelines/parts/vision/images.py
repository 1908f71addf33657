"""A set of labelled images of one shape: the data type of vision projects, in numpy only."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import DataError
from pipelines.parts.arrays import Arrays

UNKNOWN = -1
"""Label of an image that has none."""
TRAIN, TEST = 0, 1
"""Folds: the images their publisher means for training, and those meant for testing."""
LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to the brightness that people see (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one shape, with what is known of each. Raises DataError when the arrays do not fit each other."""

    pixels: NDArray[np.uint8]
    """(rows, channels, height, width), 0 is black; 1 channel is grey, 3 are red, green and blue."""
    label: NDArray[np.int64]
    """(rows,), from 0; -1 where not known."""
    fold: NDArray[np.int8]
    """(rows,), 0 for the publisher's training images, 1 for the publisher's test images."""
    size: NDArray[np.int32]
    """(rows, 2), width and height in pixels of the image as it came, before resizing."""
    name: NDArray[np.str_]
    """(rows,), the file an image came in; empty where it came in none of its own."""

    def __post_init__(self) -> None:
        rows = len(self.pixels)
        wanted: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "pixels": ((rows, *self.pixels.shape[1:4]), np.uint8),
            "label": ((rows,), np.int64),
            "fold": ((rows,), np.int8),
            "size": ((rows, 2), np.int32),
        }
        if self.pixels.ndim != 4:
            raise DataError(f"expected pixels of shape (rows, channels, height, width), found {self.pixels.shape}")
        if self.name.shape != (rows,) or self.name.dtype.kind != "U":
            raise DataError(f"images: expected name of shape ({rows},) and text, found {self.name.shape} and {self.name.dtype}")
        for name, (shape, dtype) in wanted.items():
            found = getattr(self, name)
            if found.shape != shape or found.dtype != dtype:
                raise DataError(
                    f"images: expected {name} of shape {shape} and type {np.dtype(dtype)}, "
                    f"found shape {found.shape} and type {found.dtype}"
                )

    @classmethod
    def of(cls, pixels: Any, label: Any = None, fold: Any = None, size: Any = None, name: Any = None) -> Images:
        """Images from anything array-like; what is not given is unknown (label), training (fold), as it is (size), without a file (name)."""
        pixels = np.ascontiguousarray(pixels)
        if pixels.dtype != np.uint8:
            raise DataError(f"expected pixels as uint8 from 0 to 255, found {pixels.dtype}; scale and round them first")
        if pixels.ndim != 4:
            raise DataError(f"expected pixels of shape (rows, channels, height, width), found {pixels.shape}")
        rows, _, height, width = pixels.shape
        return cls(
            pixels,
            np.full(rows, UNKNOWN, dtype=np.int64) if label is None else np.asarray(label, dtype=np.int64),
            np.zeros(rows, dtype=np.int8) if fold is None else np.asarray(fold, dtype=np.int8),
            np.tile(np.array([width, height], dtype=np.int32), (rows, 1)) if size is None else np.asarray(size, dtype=np.int32),
            np.full(rows, "") if name is None else np.asarray(name, dtype=str),
        )

    @classmethod
    def concat(cls, parts: Sequence[Images]) -> Images:
        """All images of the parts, one part after the other. Raises DataError when they differ in shape or there is no part."""
        if len(shapes := sorted({part.shape for part in parts})) != 1:
            raise DataError(
                f"expected images of one shape (channels, height, width), found {shapes or 'none'}; resize them first"
            )
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def take(self, positions: Sequence[int] | NDArray[np.integer[Any]]) -> Images:
        """The images at these positions, in this order."""
        chosen = np.asarray(positions, dtype=np.intp)
        return Images(self.pixels[chosen], self.label[chosen], self.fold[chosen], self.size[chosen], self.name[chosen])


def hashes(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A number for each image, shape (rows,), equal for equal pixels (BLAKE2b, 64 bits)."""
    digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels)
    return np.frombuffer(digests, dtype=np.uint64)


class ImagesCodec:
    """Images in one uncompressed file, the same bytes for the same images."""

    name = "images"

    def write(self, value: Images, path: Path) -> None:
        Arrays().write(vars(value), path)

    def read(self, path: Path) -> Images:
        """The images. Raises DataError when the file is cut off, damaged or none of ours."""
        try:
            return Images(**Arrays().read(path))  # type: ignore[arg-type]
        except (zipfile.BadZipFile, ValueError, TypeError, EOFError, OSError, DataError) as error:
            raise DataError(f"{path} holds no whole set of images: {error}; run the stage that writes it again") from error

    def columns(self, value: Images) -> dict[str, str]:
        """Array to type and shape of a row, for the manifest."""
        return {name: f"{array.dtype} {array.shape[1:]}" for name, array in vars(value).items()}
