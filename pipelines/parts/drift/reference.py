"""The frozen reference, and windows compared with it at a stated false-alarm rate.

What "no drift" looks like is learnt from the reference alone: windows of the size in question are drawn from its rows
without replacement and each is compared with the rows left over. Whole rows are drawn, so that the channels depend on
each other as they really do. The largest surprise of each drawn window over all channels is the null of the family
(max-T, Westfall and Young 1993): an alarm in any channel has the stated rate, however many there are.

Surprises hardly depend on the size once it is in the hundreds, and are in units that allow for the sizes of both sides.
So windows larger than `LARGEST`, or than half the reference, use the null of that size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core import evidence
from pipelines.core.contract import Arrays
from pipelines.parts.arrays import Arrays as ArraysCodec
from pipelines.parts.drift.channels import Channel
from pipelines.parts.drift.family import Channels, alike, as_channels, family, frozen, presence

ROWS = 20_000
"""A larger reference is thinned to so many rows: beyond it the window's own noise is all that is left."""
LARGEST = 1_000
SIZES = (50, 200, 1000)
"""Window sizes for which `summary` says what an alarm takes."""


@dataclass(frozen=True)
class Watching:
    """How windows are judged; see `config.Monitor`."""

    false_alarm_rate: float
    resamples: int
    effect: float
    rows: int
    seed: int


class Reference:
    """Rows of a reference period and what follows from them."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels
        self.rows = len(next(iter(channels.values()))) if channels else 0
        self._nulls: dict[tuple[int, int, int], NDArray[np.float64]] = {}

    @classmethod
    def freeze(cls, arrays: Arrays, seed: int, rows: int = ROWS) -> Reference:
        """A reference of at most `rows` rows, drawn by `seed` where there are more."""
        channels = as_channels(arrays)
        given = cls(channels).rows
        if given > rows:
            kept = np.sort(np.random.default_rng(seed).choice(given, rows, replace=False))
            channels = {name: values[kept] for name, values in channels.items()}
        return cls(frozen(channels))

    @classmethod
    def read(cls, folder: Path) -> Reference:
        """The reference that `write` left in a folder."""
        return cls(dict(ArraysCodec().read(folder / "reference.npz")))

    def write(self, folder: Path, watching: Watching) -> None:
        """`reference.npz`, all that is needed, and `statistics.json`, what it amounts to, for people."""
        folder.mkdir(parents=True, exist_ok=True)
        ArraysCodec().write(self.channels, folder / "reference.npz")
        text = json.dumps(self.summary(watching), indent=1, sort_keys=True, ensure_ascii=False)
        (folder / "statistics.json").write_text(text + "\n", encoding="utf-8")

    @cached_property
    def family(self) -> list[Channel]:
        """Everything a window is compared in."""
        return family(self.channels)

    def null(self, size: int, resamples: int, seed: int) -> NDArray[np.float64]:
        """Largest surprise over all channels of windows of `size` rows drawn from the reference, ascending."""
        asked = (size, resamples, seed)
        if asked not in self._nulls:
            random = np.random.default_rng([seed, size])
            positions = np.stack([random.choice(self.rows, size, replace=False, shuffle=False) for _ in range(resamples)])
            largest = np.zeros(resamples)
            for channel in self.family:
                np.maximum(largest, channel.null(positions), out=largest)
            self._nulls[asked] = np.sort(largest)
        return self._nulls[asked]

    def calibrated(self, rows: int) -> int:
        """The size of drawn windows that stands for a window of so many rows."""
        return min(rows, LARGEST, self.rows // 2)

    def alike(self, arrays: Arrays) -> Channels:
        """A window's channels, named and typed as the reference's; what is not there counts as missing."""
        return alike(as_channels(arrays), self.channels)

    def compare(self, arrays: Arrays, watching: Watching) -> tuple[evidence.Channel, ...]:
        """Every channel of a window, the most surprising first. The window and the reference have at least two rows."""
        window = self.alike(arrays)
        size = self.calibrated(len(next(iter(window.values()))))
        null = self.null(size, watching.resamples, watching.seed)
        judged: list[tuple[float, evidence.Channel]] = []
        for channel in self.family:
            values = presence(window[channel.column]) if channel.kind == "missing" else window[channel.column]
            found = channel.compare(values, size)
            above = null.size - int(np.searchsorted(null, found.surprise, side="left"))
            p_value = (1 + above) / (1 + null.size)
            document = evidence.Channel(
                name=channel.name,
                kind=channel.kind,
                statistic=found.statistic,
                effect=found.effect,
                p_value=p_value,
                drifted=p_value <= watching.false_alarm_rate and found.effect >= watching.effect,
                note=found.note,
            )
            judged.append((found.surprise, document))
        return tuple(document for _, document in sorted(judged, key=lambda pair: (-pair[0], pair[1].name)))

    def summary(self, watching: Watching) -> dict[str, Any]:
        """Plain statistics of every channel, and what an alarm takes at a few window sizes."""
        sizes = sorted({self.calibrated(size) for size in SIZES} - {0, 1})
        return {
            "rows": self.rows,
            "false_alarm_rate": watching.false_alarm_rate,
            "channels": [channel.describe() for channel in self.family],
            "alarm": [self._alarm(size, watching) for size in sizes],
        }

    def _alarm(self, size: int, watching: Watching) -> dict[str, float]:
        threshold = float(np.quantile(self.null(size, watching.resamples, watching.seed), 1 - watching.false_alarm_rate))
        effective = size * self.rows / (size + self.rows)
        return {
            "window_rows": size,
            "surprise": round(threshold, 4),
            "ks_distance": round(float(np.sqrt((threshold + np.log(2)) / (2 * effective))), 4),
        }
