"""Windows compared with rows of a reference: with all of them (`reference.py`), or with a part of them (`season.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core import evidence
from pipelines.core.contract import Arrays
from pipelines.parts.drift.channels import Channel
from pipelines.parts.drift.coding import Coder, Floats, Rows
from pipelines.parts.drift.family import Channels, alike, as_channels


@dataclass(frozen=True)
class Watching:
    """How windows are judged; see `config.Monitor`."""

    false_alarm_rate: float
    resamples: int
    effect: float
    rows: int
    seed: int
    together: int = 0
    """Windows in a row that are compared with the same rows; all of them when 0. See `season.py`."""


class Compared(ABC):
    """Rows that windows are compared with, what in, and what follows from a comparison."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels
        self.rows = len(next(iter(channels.values()))) if channels else 0

    @property
    @abstractmethod
    def coders(self) -> dict[str, Coder]:
        """What turns columns into the codes that channels look at."""

    @property
    @abstractmethod
    def family(self) -> list[Channel]:
        """Everything a window is compared in."""

    @abstractmethod
    def p_values(self, surprises: Floats, rows: int, watching: Watching) -> Floats:
        """Chance of surprises as large as these anywhere in the family, for a window of so many rows without drift."""

    @abstractmethod
    def limit(self, rows: int, watching: Watching) -> float:
        """What the chart of windows of so many rows has to reach for an alarm."""

    def alike(self, arrays: Arrays) -> Channels:
        """A window's channels, named and typed as the reference's; what is not there counts as missing."""
        return alike(as_channels(arrays), self.channels)

    def rows_of(self, arrays: Arrays) -> Rows:
        """A window's rows as channels look at them."""
        return Rows.of(self.alike(arrays), self.coders)

    def compare(self, arrays: Arrays, watching: Watching) -> tuple[evidence.Channel, ...]:
        """Every channel of a window, the most surprising first. The window and the reference have at least two rows."""
        window = self.rows_of(arrays)
        rows = len(next(iter(window.values.values())))
        found = [(channel, channel.observed(window)) for channel in self.family]
        surprises = np.array([channel.surprise(profile, channel.total)[0] for channel, profile in found])
        judged = []
        for (channel, profile), p_value in zip(found, self.p_values(surprises, rows, watching).tolist(), strict=True):
            effect = float(channel.effect(profile)[0])
            document = evidence.Channel(
                name=channel.name,
                kind=channel.kind,
                statistic=round(channel.statistic(window, profile), 6),
                effect=round(effect, 6),
                p_value=p_value,
                drifted=p_value <= watching.false_alarm_rate and effect >= watching.effect,
                note=channel.note(window, profile),
            )
            judged.append(document)
        order = sorted(range(len(judged)), key=lambda place: (-surprises[place], judged[place].name))
        return tuple(judged[place] for place in order)


def p_value(channels: Sequence[evidence.Channel], effect: float) -> float:
    """A window's own p-value: the smallest of any channel whose effect is worth an alarm, 1 when none is."""
    return min([channel.p_value for channel in channels if channel.effect >= effect], default=1.0)
