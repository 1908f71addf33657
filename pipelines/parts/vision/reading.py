"""Pictures as callers have them, made into `Images`: files, folders, bytes, arrays, rows of JSON. How one picture is made
ready is told in `decoding`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.core.errors import DataError
from pipelines.parts.vision.decoding import LIMIT, Form, Invert, Unreadable, decode
from pipelines.parts.vision.images import Images

KEY = "image"
"""Where a row that is a mapping has its picture."""
SHOWN = 10
"""Faults told in full."""
BATCH = 512


def read_images(rows: Any, shape: tuple[int, int, int], *, ground: int = 0, invert: Invert = False, limit: int = LIMIT) -> Images:
    """All pictures of `rows`, in their order, labels unknown; no rows give no images.

    `rows` is one of these, or a list of them:

    - the path of a file, or of a folder: all files below it that are not hidden, in the order of `files`;
    - the bytes of a file;
    - a PIL image, or an array (height, width) or (height, width, channels) of 8 or 16 unsigned bits;
    - a mapping with one of these under `image`. Text there is base64 (a `data:` URL, too) and never a path, because a
      deployed model must not open the files a caller names. `invert` beside it (true, false, "border") holds for this picture alone;
    - a table (pandas) with a column `image`; an array (rows, height, width, channels).

    `ground`: grey level around a picture of another aspect ratio and behind transparent pixels, as in the finished image.
    `invert`: dark to light, for dark articles on white where the model knows light ones on black; `border` decides picture
    by picture, by its outermost pixels. `limit`: pixels of the largest picture that is decoded.

    Raises DataError that names every picture that cannot be used.
    """
    parts = list(stream(rows, shape, BATCH, ground=ground, invert=invert, limit=limit))
    return Images.concat(parts) if parts else Images.of(np.empty((0, *shape), dtype=np.uint8))


def stream(
    rows: Any, shape: tuple[int, int, int], batch: int, *, ground: int = 0, invert: Invert = False, limit: int = LIMIT
) -> Iterator[Images]:
    """The images of `read_images`, so many at a time: memory does not grow with their number.

    A picture that cannot be used is left out of its batch; after the last one, DataError names them all. Whoever acts on
    batches before the end acts on images that are good.
    """
    form = Form(shape, ground, invert, limit)
    faults = _Faults()
    pixels = np.empty((batch, *shape), dtype=np.uint8)
    size = np.empty((batch, 2), dtype=np.int32)
    named = [""] * batch
    filled = 0
    for name, source in _sources(rows):
        try:
            pixels[filled], size[filled] = decode(*_unwrapped(source, form))
        except Unreadable as fault:
            faults.add(f"{name} {fault}")
            continue
        named[filled] = name if isinstance(source, Path) else ""
        filled += 1
        if filled == batch:
            yield Images.of(pixels.copy(), size=size.copy(), name=named)
            filled = 0
    if filled:
        yield Images.of(pixels[:filled].copy(), size=size[:filled].copy(), name=named[:filled])
    faults.refuse()


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder but hidden ones, by name, those of a folder before those of the folders in it; links to
    folders are not followed. Raises DataError when there is none.
    """
    found = False
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                found = True
                yield Path(place, name)
    if not found:
        raise DataError(f"expected images in the folder {folder}, found no file; check the path")


def _sources(rows: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each picture with what to call it: its file's path, else `row` and its number."""
    if isinstance(rows, str | Path):
        yield from _on_disk(Path(rows))
    elif isinstance(rows, Mapping | bytes | bytearray | memoryview | Image.Image) or _is_picture(rows):
        yield name or "row 0", rows
    elif hasattr(rows, "columns"):  # a table
        yield from _sources(rows.to_dict("records"))
    elif isinstance(rows, Iterable):
        for number, row in enumerate(rows):
            yield from _sources(row, f"{name or 'row'} {number}")
    else:
        yield name or "row 0", rows


def _is_picture(rows: Any) -> bool:
    """Whether an array is one picture, rather than one a row along its first axis."""
    return isinstance(rows, np.ndarray) and rows.ndim <= 3


def _on_disk(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_dir():
        yield from ((str(file.relative_to(path)), file) for file in files(path))
    else:
        yield str(path), path


def _unwrapped(source: Any, form: Form) -> tuple[Any, Form]:
    """The picture within a row, and how this one is to be made ready. Raises Unreadable."""
    if not isinstance(source, Mapping):
        return _known(source), form
    if KEY not in source:
        raise Unreadable(f"has no {KEY!r}; found {', '.join(map(repr, source)) or 'nothing'}")
    invert = source.get("invert")
    if invert is None or invert != invert:  # a table has NaN where a row says nothing
        invert = form.invert
    if not isinstance(invert, bool) and invert != "border":
        raise Unreadable(f"says invert: {invert!r}; expected true, false or 'border'")
    picture = source[KEY]
    if isinstance(picture, str):
        picture = _from_base64(picture)
    return _known(picture), replace(form, invert=invert)


def _known(picture: Any) -> Any:
    if isinstance(picture, Path | bytes | bytearray | memoryview | Image.Image | np.ndarray):
        return picture
    raise Unreadable(
        f"is {type(picture).__name__}; expected a path, bytes, an array, a PIL image or a mapping with one under {KEY!r}"
    )


def _from_base64(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable(
            f"has text under {KEY!r} that is no base64: {text[:40]!r}; text is taken as the content of a file, not as its path"
        ) from error


class _Faults:
    """What is wrong with which pictures: the first few in words, the rest counted."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.count = 0

    def add(self, fault: str) -> None:
        self.count += 1
        if len(self.shown) < SHOWN:
            self.shown.append(fault)

    def refuse(self) -> None:
        """Raise one DataError with all of them, if there are any."""
        if self.count:
            lines = [*self.shown, *([f"and {self.count - SHOWN:,} more"] if self.count > SHOWN else [])]
            raise DataError("these images cannot be read:\n" + "\n".join(f"  - {line}" for line in lines))
