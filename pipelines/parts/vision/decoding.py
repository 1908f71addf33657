"""One picture as a caller has it, made into pixels of a given shape.

What is done, in this order:

1. The size is read from the header; a picture of more pixels than the limit is refused before anything is decoded.
2. It is turned the way it is looked at (EXIF orientation).
3. Any kind of colour becomes 8-bit grey or RGB: 16 bits are scaled, CMYK and palettes converted, and transparent pixels
   show the ground. Grey from colour is the luma of ITU-R BT.601. Colour profiles are not applied.
4. It is shrunk or enlarged to fit, aspect ratio kept, by triangle-filtered (antialiased) resampling, which draws no halos
   around an article on plain ground. A picture that fits already keeps its pixels as they are.
5. It is inverted where asked for, and centred; the ground fills what is left.

Light and dark are not guessed unless asked for. Whoever has dark articles on white, for a model that knows light ones on
black, says `invert=True`; `invert="border"` decides picture by picture, by a rule: it is inverted when the median grey of
its outermost pixels is nearer to the ground's opposite than to the ground. (Of Fashion-MNIST's own 70,000 images, light on
black already, the rule inverts 2.) The ground is meant as it is in the finished image, inverted or not.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, UnidentifiedImageError

LIMIT = 50_000_000
"""Pixels of the largest picture that is decoded: 50 megapixels, 150 MB in memory."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What is decoded, by content and not by name; of a moving picture, the first frame. Fewer formats are fewer ways in."""
ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is to be turned."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Value of the tag to what makes the picture upright (EXIF 2.3, section 4.6.4)."""
SIDEWAYS = frozenset(TURNS[value] for value in (5, 6, 7, 8))
"""Turns by which width and height change places."""
Invert: TypeAlias = bool | Literal["border"]


class Unreadable(Exception):
    """Why one picture cannot be used, as the end of a sentence that starts with its name."""


@dataclass(frozen=True)
class Form:
    """What pictures are made into."""

    shape: tuple[int, int, int]
    """Channels (1: grey, 3: RGB), height and width."""
    ground: int = 0
    """Grey level, in the finished image, around the picture and behind its transparent pixels; 0 is black."""
    invert: Invert = False
    """Whether dark becomes light and light dark; `border`: when the outermost pixels are not the ground's."""
    limit: int = LIMIT
    """Pixels of the largest picture that is decoded."""


def decode(source: Any, form: Form) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Pixels of `form.shape`, and width and height of the picture as it came (turned upright, before resizing).

    `source` is a path, the bytes of a file, a PIL image or an array (height, width) or (height, width, channels), of 8 or
    16 unsigned bits. Raises Unreadable.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice of the library's own limit, of odd metadata, of deprecated modes
        try:
            with _opened(source) as image:
                return _made(image, form, ours=image is not source)
        except Unreadable:
            raise
        except UnidentifiedImageError as error:
            raise Unreadable(f"is not an image; expected {', '.join(FORMATS)}") from error
        except Image.DecompressionBombError as error:  # beyond the library's limit, which is above ours
            raise Unreadable(f"is too large: expected at most {form.limit:,} pixels; make it smaller ({error})") from error
        except Exception as error:  # whatever a decoder makes of damaged bytes
            raise Unreadable(f"is cut off or damaged ({error or type(error).__name__}); send it again") from error


@contextmanager
def _opened(source: Any) -> Iterator[Image.Image]:
    """The picture with its header read; pixels of a file are not decoded yet."""
    if isinstance(source, Image.Image):
        yield source
    elif isinstance(source, np.ndarray):
        yield _from_array(source)
    else:
        with _stream(source) as stream:
            if not stream.read(1):
                raise Unreadable("is empty (0 bytes); send it again")
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                yield image


def _stream(source: Any) -> IO[bytes]:
    if not isinstance(source, Path):
        return io.BytesIO(source)
    try:
        return source.open("rb")
    except OSError as error:
        raise Unreadable(f"cannot be opened ({error.strerror}); check the path") from error


def _from_array(array: NDArray[Any]) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or 0 in array.shape:
        raise Unreadable(f"has shape {array.shape}; expected (height, width) or (height, width, 1 to 4 channels)")
    if array.dtype == np.uint16:
        array = _eight_bits(array)
    if array.dtype != np.uint8:
        raise Unreadable(f"is an array of {array.dtype}; expected uint8 from 0 to 255, or uint16")
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and channels == 1 else array)


def _made(image: Image.Image, form: Form, ours: bool) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    channels, height, width = form.shape
    mode = {1: "L", 3: "RGB"}[channels]
    size = image.size
    if size[0] * size[1] > form.limit:
        raise Unreadable(
            f"is too large: expected at most {form.limit:,} pixels, found {size[0]:,} x {size[1]:,}; make it smaller"
        )
    turn = _turn(image)
    upright = (size[1], size[0]) if turn in SIDEWAYS else size
    wanted = _fit(upright, (width, height))
    if ours:  # a JPEG is decoded no larger than need be; the caller's own picture is left as it is
        image.draft(mode, (wanted[1], wanted[0]) if turn in SIDEWAYS else wanted)
    behind = 255 - form.ground if form.invert is True else form.ground
    image = _plain(image if turn is None else image.transpose(turn), mode, behind)
    image = image if image.size == wanted else image.resize(wanted, Image.Resampling.BILINEAR)
    if form.invert is True or (form.invert == "border" and abs(_border(image) - form.ground) > 127.5):
        image = ImageChops.invert(image)
    if wanted != (width, height):
        framed = Image.new(mode, (width, height), (form.ground,) * channels)
        framed.paste(image, ((width - wanted[0]) // 2, (height - wanted[1]) // 2))
        image = framed
    pixels = np.asarray(image, dtype=np.uint8).reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)), upright


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How the picture must be turned to be upright. Metadata nobody can read are no reason to refuse good pixels."""
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:
        return None


def _fit(size: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """Width and height in the frame, aspect ratio kept, no side below one pixel.

    >>> _fit((3000, 2000), (28, 28)), _fit((14, 28), (28, 28)), _fit((90_000, 1), (28, 28))
    ((28, 19), (14, 28), (28, 1))
    """
    scale = min(frame[0] / size[0], frame[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _border(image: Image.Image) -> float:
    """Median grey level of the outermost pixels."""
    grey = np.asarray(image.convert("L"))
    return float(np.median(np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])))


def _plain(image: Image.Image, mode: str, ground: int) -> Image.Image:
    """8 bits of grey or RGB, whatever the picture was made of."""
    if image.mode.startswith("I"):  # also "I;16" and its byte orders
        values, clear = np.asarray(image), image.info.get("transparency")
        image = Image.fromarray(_eight_bits(values))
        if clear is not None:  # the grey level that is to be seen through
            image.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    if image.mode == "F":
        raise Unreadable("holds fractions, whose black and white nobody states; expected 8 or 16 bits a channel")
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, (ground, ground, ground, 255))
        image = Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")
    try:
        return image.convert(mode)
    except ValueError as error:
        raise Unreadable(f"has colours of kind {image.mode}, which cannot be converted; save it as RGB") from error


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16 bits to 8, white to white. Raises Unreadable for numbers beyond 16 bits."""
    if values.min() < 0 or values.max() > 65535:
        raise Unreadable(f"holds numbers from {values.min()} to {values.max()}; expected 8 or 16 bits a channel")
    scaled: NDArray[np.uint8] = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return scaled
