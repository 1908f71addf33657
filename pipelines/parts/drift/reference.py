"""The frozen reference, and windows compared with it at a stated false-alarm rate.

What "no drift" looks like is learnt from the reference alone: windows are drawn from its pool without replacement and each is
compared with the rows left over there. Window and rest can then be exchanged for each other, which makes the null exact for
these rows (a permutation test, Pitman 1937); beside rows that no window is drawn from, every drawn window would share one
chance deviation. Whole rows are drawn, so that the channels depend on each other as they really do. The
largest surprise of each drawn window over all channels is the null of the family (max-T, Westfall and Young 1993): its
p-values hold for all channels together, however many there are.

All that is drawn is drawn once, when the reference is written, for a grid of window sizes. Between two of them the quantiles
of both nulls are interpolated, on the scale of logarithms. Surprises hardly depend on the size once it is in the hundreds,
and are in units that allow for the sizes of both sides; so windows larger than the grid use the null of its largest size.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.contract import Arrays
from pipelines.parts.arrays import Arrays as ArraysCodec
from pipelines.parts.drift import sequence, streams
from pipelines.parts.drift.channels import Channel
from pipelines.parts.drift.coding import Coder, Floats, Rows
from pipelines.parts.drift.compared import Compared, Watching
from pipelines.parts.drift.family import Channels, as_channels, coders, family, frozen

ROWS = 20_000
"""A larger reference is thinned to so many rows: beyond it the window's own noise is all that is left."""
SIZES = (50, 100, 200, 500, 1_000)
"""Window sizes whose nulls are drawn, as far as half the pool reaches."""
TAIL = 10
"""From so many drawn windows downwards p-values follow the exponential tail that surprises, minus logarithms, have."""
TIMES = "times.npz"
LEAST = 1e-6
"""Smallest p-value: the tail is not trusted further."""


class Reference(Compared):
    """Rows of a reference period and what follows from them.

    A third of the rows serve the domain classifier alone (see `joint.py`); windows are drawn from the others, the pool.
    """

    def __init__(self, channels: Channels, times: Floats | None = None) -> None:
        super().__init__(channels)
        self.times = times
        order = np.random.default_rng(self.rows).permutation(self.rows)
        self.learnt, self.pool = np.sort(order[: self.rows // 3]), np.sort(order[self.rows // 3 :])
        self.nulls: dict[int, Floats] = {}
        """Largest surprises without drift, ascending, by window size: from the folder, or drawn when first asked for."""
        self.rates: dict[int, Floats] = {}
        """Alarms per window for each of `sequence.LIMITS`, by window size."""

    @classmethod
    def freeze(cls, arrays: Arrays, seed: int, rows: int = ROWS, times: Floats | None = None) -> Reference:
        """A reference of at most `rows` rows, drawn by `seed` where there are more; `times` when each is from, in seconds."""
        channels = as_channels(arrays)
        given = cls(channels).rows
        if given > rows:
            kept = np.sort(np.random.default_rng(seed).choice(given, rows, replace=False))
            channels = {name: values[kept] for name, values in channels.items()}
            times = None if times is None else times[kept]
        return cls(frozen(channels), times)

    @classmethod
    def read(cls, folder: Path) -> Reference:
        """The reference that `write` left in a folder, its nulls and rates included."""
        times = ArraysCodec().read(folder / TIMES)["times"].astype(float) if (folder / TIMES).is_file() else None
        found = cls(dict(ArraysCodec().read(folder / "reference.npz")), times)
        if (folder / "nulls.npz").is_file():
            for name, values in ArraysCodec().read(folder / "nulls.npz").items():
                what, _, size = name.partition(" ")
                getattr(found, what)[int(size)] = values
        return found

    def write(self, folder: Path, watching: Watching) -> None:
        """`reference.npz`, the rows, and `times.npz`, when they are from, where that is known; `nulls.npz`, what was drawn from
        them; `statistics.json`, what it amounts to, for people.
        """
        folder.mkdir(parents=True, exist_ok=True)
        ArraysCodec().write(self.channels, folder / "reference.npz")
        if self.times is not None:
            ArraysCodec().write({"times": self.times}, folder / TIMES)
        drawn = {f"nulls {size}": self.null(size, watching) for size in self.sizes(watching.rows)}
        drawn |= {f"rates {size}": rates for size, rates in self.alarm_rates(watching).items()}
        ArraysCodec().write(drawn, folder / "nulls.npz")
        text = json.dumps(self.summary(watching), indent=1, sort_keys=True, ensure_ascii=False)
        (folder / "statistics.json").write_text(text + "\n", encoding="utf-8")

    @cached_property
    def coders(self) -> dict[str, Coder]:
        return coders(self.channels)

    @cached_property
    def family(self) -> list[Channel]:
        codes = Rows.of(self.channels, self.coders).codes
        return family(self.channels, self.coders, codes, self.learnt, self.pool)

    def sizes(self, smallest: int) -> Sequence[int]:
        """Sizes of the windows that are drawn, ascending."""
        largest = min(SIZES[-1], self.pool.size // 2)
        return sorted({size for size in (smallest, *SIZES) if size <= largest} | {largest})

    def null(self, size: int, watching: Watching) -> Floats:
        """Largest surprise over all channels of windows of `size` rows drawn from the reference, ascending."""
        if size not in self.nulls:
            random = np.random.default_rng([watching.seed, size])
            draws = [random.choice(self.pool, size, replace=False, shuffle=False) for _ in range(watching.resamples)]
            positions, largest = np.stack(draws), np.zeros(watching.resamples)
            for channel in self.family:
                drawn, pool = channel.profiles(positions), channel.profiles(self.pool[None])[0]
                np.maximum(largest, channel.surprise(drawn, pool - drawn), out=largest)
            self.nulls[size] = np.sort(largest)
        return self.nulls[size]

    def alarm_rates(self, watching: Watching) -> dict[int, Floats]:
        """Alarms per window without drift for each of `sequence.LIMITS`, by window size; see `streams`."""
        if not self.rates:
            self.rates.update(
                streams.alarm_rates(self.family, self.pool, self.rows, watching.seed, watching.resamples, watching.together)
            )
        return self.rates

    def p_values(self, surprises: Floats, rows: int, watching: Watching) -> Floats:
        low, high, share = sequence.between(rows, self.sizes(watching.rows))
        return ranked(surprises, (1 - share) * self.null(low, watching) + share * self.null(high, watching))

    def limit(self, rows: int, watching: Watching) -> float:
        rates = self.alarm_rates(watching)
        low, high, share = sequence.between(rows, sorted(rates))
        limits = [sequence.limit(rates[size], watching.false_alarm_rate) for size in (low, high)]
        return (1 - share) * limits[0] + share * limits[1]

    def summary(self, watching: Watching) -> dict[str, Any]:
        """Plain statistics of every channel, and what an alarm takes at each window size."""
        return {
            "rows": self.rows,
            "false_alarm_rate": watching.false_alarm_rate,
            "channels": [channel.describe() for channel in self.family],
            "alarm": [self._alarm(size, watching) for size in self.sizes(watching.rows)],
        }

    def _alarm(self, size: int, watching: Watching) -> dict[str, float]:
        threshold = float(np.quantile(self.null(size, watching), 1 - watching.false_alarm_rate))
        effective = size * self.rows / (size + self.rows)
        return {
            "window_rows": size,
            "surprise": round(threshold, 4),
            "ks_distance": round(float(np.sqrt((threshold + np.log(2)) / (2 * effective))), 4),
            "chart_limit": round(self.limit(size, watching), 4),
        }


def ranked(surprises: Floats, null: Floats) -> Floats:
    """p-values of surprises by their rank among those of drawn windows, ascending; in the tail by its shape, see `TAIL`."""
    ranks = (1 + null.size - np.searchsorted(null, surprises, side="left")) / (1 + null.size)
    start = null[-TAIL]
    beyond = TAIL / (1 + null.size) * np.exp(start - surprises)
    found: Floats = np.where(surprises > start, np.maximum(beyond, LEAST), ranks)
    return found
