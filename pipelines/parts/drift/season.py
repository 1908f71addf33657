"""Windows compared with reference rows of the same part of a season alone, so that what comes back every year is no drift.

Rows count whose place in the season lies within the window or `NEAR` beside it. The window lies in the middle of them, so of a
swing over the season only its curvature is left between the two: for a sine of amplitude a, in windows much shorter than the
season, a (1 - sin(x) / x) with x = 2 π `NEAR`, a fortieth of a.

What is drawn of the whole reference serves its parts, for surprises are in units that allow for the rows of both sides: the nulls
as they are, the limit as for a window as many times larger as the part is smaller. Windows next to each other share most rows of
their parts, windows far apart none; streams are simulated with references that move in the same way (`streams.moving`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.parts.drift.channels import Channel
from pipelines.parts.drift.coding import Coder, Floats, Positions, Rows
from pipelines.parts.drift.compared import Compared, Watching
from pipelines.parts.drift.reference import Reference

NEAR = 1 / 16
"""Share of the season on either side of a window from which reference rows count: three weeks of a year."""


@dataclass(frozen=True)
class Season:
    """What comes back, and how much of it a window sees; both in seconds."""

    length: float
    window: float

    @property
    def reach(self) -> float:
        """Share of the season on either side of a window's middle from which reference rows count."""
        return min(0.5, self.window / self.length / 2 + NEAR)

    @property
    def together(self) -> int:
        """Windows in a row that share reference rows, on average."""
        return max(1, round(2 * self.reach * self.length / self.window))

    def near(self, times: Floats, window: Floats) -> Positions:
        """Positions of the times that lie in the same part of the season as a window's; unknown times are nowhere."""
        known = window[np.isfinite(window)]
        if not known.size:
            return np.empty(0, dtype=np.intp)
        middle = (known.min() + known.max()) / 2
        apart = np.abs((times - middle) / self.length - np.round((times - middle) / self.length))
        return np.flatnonzero(apart <= self.reach)


class Part(Compared):
    """Some rows of a reference, judged by what was drawn from all of it."""

    def __init__(self, whole: Reference, positions: Positions) -> None:
        super().__init__({name: values[positions] for name, values in whole.channels.items()})
        self.whole, self.positions = whole, positions

    @property
    def coders(self) -> dict[str, Coder]:
        return self.whole.coders

    @cached_property
    def family(self) -> list[Channel]:
        """The whole's channels beside these rows; all columns together beside those of the pool, see `Joint`."""
        rows = self._coded(np.arange(self.rows))
        unlearnt = self._coded(np.flatnonzero(np.isin(self.positions, self.whole.pool)))
        return [channel.beside(unlearnt if channel.kind == "joint" else rows) for channel in self.whole.family]

    def _coded(self, positions: Positions) -> Rows:
        return Rows.of({name: values[positions] for name, values in self.channels.items()}, self.coders)

    def p_values(self, surprises: Floats, rows: int, watching: Watching) -> Floats:
        return self.whole.p_values(surprises, rows, watching)

    def limit(self, rows: int, watching: Watching) -> float:
        return self.whole.limit(round(rows * self.whole.rows / max(self.rows, 1)), watching)
