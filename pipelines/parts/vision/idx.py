"""The idx format of MNIST and its kin: a header that says how much follows, then the values.

Two zero bytes, a byte for the type of the values (0x08: unsigned byte, the only one used for images and their labels), a
byte for the number of dimensions, each dimension as a big-endian 32-bit integer, then the values, last dimension fastest
(http://yann.lecun.com/exdb/mnist).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import DataError
from pipelines.parts.vision.images import TRAIN, Images

UNSIGNED_BYTE = 0x08
TYPES = {0x08: "unsigned byte", 0x09: "signed byte", 0x0B: "short", 0x0C: "int", 0x0D: "float", 0x0E: "double"}
GZIP = b"\x1f\x8b"
CHUNK = 1 << 20


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an idx file, plain or gzipped, whatever it is called.

    Raises DataError that names the file when there is none, when it is empty, cut off, damaged, no idx file, of values
    other than unsigned bytes, or when it holds more or less than its header says.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty (0 bytes); fetch it again")
    with path.open("rb") as start:
        packed = start.read(2) == GZIP
    try:
        with cast("IO[bytes]", gzip.open(path, "rb")) if packed else path.open("rb") as stream:
            return _parse(stream, path.name)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path.name} is cut off or damaged: {error}; fetch it again") from error


def pair(images: NDArray[np.uint8], labels: NDArray[np.uint8], fold: int = TRAIN) -> Images:
    """Grey images (rows, height, width) with their labels (rows,), all of one fold. Raises DataError when they do not match."""
    if images.ndim != 3 or labels.ndim != 1:
        raise DataError(
            f"expected images of shape (rows, height, width) and labels of shape (rows,), found {images.shape} and {labels.shape}; "
            "the files may have been swapped"
        )
    if len(images) != len(labels):
        raise DataError(f"expected one label an image, found {len(images):,} images and {len(labels):,} labels; fetch both again")
    return Images.of(images[:, None], labels, np.full(len(images), fold, dtype=np.int8))


def _parse(stream: IO[bytes], name: str) -> NDArray[np.uint8]:
    shape = _header(stream, name)
    expected = math.prod(shape)
    values = _at_most(stream, expected + 1)
    if len(values) != expected:
        found = "more" if len(values) > expected else f"{len(values):,}"
        raise DataError(
            f"{name}: the header promises {' x '.join(map(str, shape))} = {expected:,} values, found {found}; "
            "it was cut off or its counts are wrong, fetch it again"
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _header(stream: IO[bytes], name: str) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise DataError(f"{name} is no idx file: expected a magic number like 0x00000803, found 0x{magic.hex()}; fetch it again")
    if magic[2] != UNSIGNED_BYTE:
        raise DataError(f"{name}: expected values of type unsigned byte (0x08), found {TYPES[magic[2]]} (0x{magic[2]:02x})")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{name} is cut off within its header of {4 + 4 * magic[3]} bytes; fetch it again")
    return struct.unpack(f">{magic[3]}I", sizes)


def _at_most(stream: IO[bytes], size: int) -> bytearray:
    """Bytes to the end, but no more than `size`: a wrong count must not ask for the memory it names."""
    values = bytearray()
    while len(values) < size and (chunk := stream.read(min(CHUNK, size - len(values)))):
        values += chunk
    return values
