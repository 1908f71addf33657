"""What can be said of an image as an image: how bright, how rich in contrast, how sharp, how large it came."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipelines.parts.vision.images import LUMA, Images

CHUNK = 1 << 22
"""Pixels worked on at once, so that memory stays bounded."""


def quality(images: Images) -> dict[str, NDArray[np.float64]]:
    """Five figures an image, each of shape (rows,).

    `brightness`: mean grey level, 0 to 255. `contrast`: standard deviation of the grey levels. `sharpness`: variance of the
    Laplacian over the inner pixels, low when blurred (Pech-Pacheco et al. 2000, https://doi.org/10.1109/ICPR.2000.903548);
    0 for images of fewer than 3 x 3 pixels. `width` and `height`: of the image as it came.
    """
    found: dict[str, NDArray[np.float64]] = {name: np.empty(len(images)) for name in ("brightness", "contrast", "sharpness")}
    start = 0
    for grey in greys(images.pixels):
        rows = slice(start, start + len(grey))
        found["brightness"][rows] = grey.mean(axis=(1, 2), dtype=np.float64)
        found["contrast"][rows] = grey.std(axis=(1, 2), dtype=np.float64)
        found["sharpness"][rows] = _laplacian(grey).var(axis=(1, 2), dtype=np.float64) if min(grey.shape[1:]) > 2 else 0.0
        start = rows.stop
    return found | {"width": images.size[:, 0].astype(float), "height": images.size[:, 1].astype(float)}


def greys(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    """Grey levels (some rows, height, width), 0 to 255, chunk by chunk in the order of the rows."""
    rows = max(1, CHUNK // max(1, int(np.prod(pixels.shape[1:]))))
    for start in range(0, len(pixels), rows):
        part = pixels[start : start + rows].astype(np.float32)
        yield (
            np.einsum("nchw,c->nhw", part, np.array(LUMA, dtype=np.float32)) if part.shape[1] == len(LUMA) else part.mean(axis=1)
        )


def _laplacian(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of the four neighbours less four times the pixel itself, for inner pixels."""
    inner = grey[:, 1:-1, 1:-1]
    return grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
