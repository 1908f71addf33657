"""Codec for named numpy arrays: truths, predictions, masks."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Arrays:
    """Named arrays in an uncompressed .npz with fixed time stamps, so that equal values give equal bytes. No pickles."""

    name = "arrays"

    def write(self, value: Mapping[str, NDArray[np.generic]], path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in sorted(value):
                buffer = io.BytesIO()
                array = np.asarray(value[name])
                np.save(buffer, array.astype(str) if array.dtype == object else array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue())

    def read(self, path: Path) -> dict[str, NDArray[np.generic]]:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
