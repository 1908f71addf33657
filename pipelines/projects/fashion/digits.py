"""Real pictures of something else, for machines that reach no source of Fashion-MNIST: scikit-learn's handwritten digits.

1,797 digits of 8 x 8 pixels (Alpaydin and Kaynak, UCI 1998), which scikit-learn ships, made 28 x 28 and written as the four files
of Fashion-MNIST. They let every stage run on real pictures of the right shape; no score on them says anything about clothing.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import ConfigError
from pipelines.data.simulation import generator, strengths

SIDE = 28
DRIFTS = {"dark": "takes this share of the light from every picture"}
"""What `ingest.drift` may name."""


def simulate(folder: Path, rows: int, seed: int, drift: Mapping[str, float]) -> None:
    """Write `rows` of the digits, drawn by the seed: four fifths as training files, the rest as test files.

    Raises ConfigError for more rows than there are, fewer than 5, or a drift that is not in `DRIFTS`.
    """
    from sklearn.datasets import load_digits

    strength = strengths(drift, DRIFTS)
    digits = load_digits()
    if not 5 <= rows <= len(digits.target):
        raise ConfigError(f"between 5 and {len(digits.target):,} digits were expected, found {rows}; mend the entry's rows")
    order = generator(seed, "order").permutation(len(digits.target))[:rows]
    pixels = np.round(enlarged(digits.images[order]) * (255 / 16) * (1 - strength["dark"])).clip(0, 255).astype(np.uint8)
    labels = digits.target[order].astype(np.uint8)
    cut = rows * 4 // 5
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", slice(cut)), ("t10k", slice(cut, rows))):
        _write(folder / f"{name}-images-idx3-ubyte.gz", pixels[part])
        _write(folder / f"{name}-labels-idx1-ubyte.gz", labels[part])


def enlarged(images: NDArray[Any]) -> NDArray[np.float64]:
    """Images of shape (rows, 8, 8) as (rows, 28, 28), each pixel interpolated linearly between the nearest centres."""
    weights = _weights(images.shape[1])
    larger: NDArray[np.float64] = weights @ images @ weights.T
    return larger


def _weights(side: int) -> NDArray[np.float64]:
    """Row a holds how much each old pixel gives to new pixel a; rows sum to 1."""
    centres = (np.arange(SIDE) + 0.5) * side / SIDE - 0.5
    distance = np.abs(centres.clip(0, side - 1)[:, None] - np.arange(side))
    weights: NDArray[np.float64] = np.clip(1 - distance, 0, None)
    return weights


def _write(path: Path, values: NDArray[np.uint8]) -> None:
    """An idx file of bytes, gzipped without name and time, so that equal values give equal files.

    Its header: two zero bytes, 8 for unsigned bytes, the number of dimensions, then each of them as four bytes, highest first.
    """
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, dtype=">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))
