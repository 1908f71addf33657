"""What came true, once labels are there: their distribution, and whether the champion still does what it promised.

The reference is the champion's test rows with their labels and its predictions for them. As for the columns (`reference.py`),
windows drawn from these rows show what no drift looks like, and the largest surprise over the channels, in the same drawn
windows, is the null of this family (max-T).

The channel of the metric is one-sided: only a loss surprises. A metric of n rows less that of all m reference rows has, on
rows like them, a variance proportional to 1/n + 1/m (the first order of any smooth statistic; van der Vaart 1998, chapter 20);
for n rows drawn from the m and the others it is 1/n + 1/(m - n), and the difference from all rows is (m - n)/m of that from the
others. Losses in units of these roots are compared with each other, so the null of a size serves near sizes, too.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
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
from pipelines.parts.drift.coding import Coder, Floats, Positions, Rows
from pipelines.parts.drift.compared import Watching
from pipelines.parts.drift.family import alike, as_channels, coders, frozen, one
from pipelines.parts.drift.reference import ROWS, ranked

FILE = "outcomes.npz"
LARGEST = 1_000
"""Larger windows use the null of this size."""


@dataclass(frozen=True)
class Metric:
    """The headline metric and what of it may be lost."""

    name: str
    value: Callable[[Arrays, Arrays], float]
    """Of (truth, predictions); NaN where it is undefined."""
    greater_is_better: bool
    floor: float = 0.0
    """Smallest loss worth an alarm, beside significance."""

    def loss(self, promised: Any, found: Any) -> Any:
        """How much worse `found` is; negative when it is better."""
        return (promised - found) * (1 if self.greater_is_better else -1)


class Outcomes:
    """Labels of the reference rows and the champion's predictions for them, rows first."""

    def __init__(self, truth: Arrays, predictions: Arrays, times: Floats | None = None) -> None:
        self.times = times
        self.truth = {name: np.asarray(values) for name, values in truth.items()}
        self.predictions = {name: np.asarray(values) for name, values in predictions.items()}
        self.rows = len(next(iter(self.truth.values())))
        self.labels = frozen(as_channels(self.truth))

    @cached_property
    def coders(self) -> dict[str, Coder]:
        """What turns labels into codes."""
        return coders(self.labels)

    @cached_property
    def channels(self) -> list[Channel]:
        """One for each array of labels."""
        codes = Rows.of(self.labels, self.coders).codes
        return [one(name, "label", coder, codes[name], self.labels[name]) for name, coder in self.coders.items()]

    @classmethod
    def freeze(cls, truth: Arrays, predictions: Arrays, seed: int, rows: int = ROWS, times: Floats | None = None) -> Outcomes:
        """At most `rows` rows, drawn by `seed` where there are more; `times` when each is from, in seconds."""
        given = cls(truth, predictions, times)
        return given.part(np.sort(np.random.default_rng(seed).choice(given.rows, min(rows, given.rows), replace=False)))

    def part(self, positions: Positions) -> Outcomes:
        """These rows alone."""
        times = None if self.times is None else self.times[positions]
        return Outcomes(_take(self.truth, positions), _take(self.predictions, positions), times)

    @classmethod
    def read(cls, folder: Path) -> Outcomes | None:
        """What `write` left in a folder; None where there is none, as in references frozen before there were outcomes."""
        if not (folder / FILE).is_file():
            return None
        arrays = ArraysCodec().read(folder / FILE)
        truth, predictions = (
            {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(part)}
            for part in ("truth.", "predictions.")
        )
        return cls(truth, predictions, arrays["times"].astype(float) if "times" in arrays else None)

    def write(self, folder: Path) -> None:
        """`outcomes.npz`: `truth.…`, `predictions.…` and, where it is known when rows are from, `times`."""
        arrays = {f"truth.{name}": values for name, values in self.truth.items()}
        arrays |= {} if self.times is None else {"times": self.times}
        ArraysCodec().write(arrays | {f"predictions.{name}": values for name, values in self.predictions.items()}, folder / FILE)

    def compare(self, truth: Arrays, predictions: Arrays, metric: Metric, watching: Watching) -> tuple[evidence.Channel, ...]:
        """The metric's channel and one for each array of labels. p-values are of this family alone.

        Without a channel for the metric where it is undefined on the window. Both sides have at least two rows.
        """
        window = alike(as_channels(truth), self.labels)
        rows = len(next(iter(window.values())))
        size = min(rows, LARGEST, self.rows // 2)
        random = np.random.default_rng([watching.seed, size, 1])
        drawn = np.stack([random.choice(self.rows, size, replace=False) for _ in range(watching.resamples)])
        promised, found = self._value(metric, self.truth, self.predictions), self._value(metric, truth, predictions)
        losses = self._losses(metric, promised, drawn)
        null, judged = np.zeros(watching.resamples), []
        if math.isfinite(promised) and math.isfinite(found) and np.isfinite(losses).any():
            scale = _Normal.of(losses)
            np.maximum(null, scale.surprise(losses), out=null)
            loss = float(metric.loss(promised, found))
            surprise = float(scale.surprise(np.array(loss / math.sqrt(1 / rows + 1 / self.rows))))
            note = f"{metric.name} {promised:.4g} → {found:.4g}"
            judged.append((surprise, loss, metric.floor, (metric.name, "performance", found, note)))
        told = Rows.of(window, self.coders)
        for channel in self.channels:
            without = channel.profiles(drawn)
            np.maximum(null, channel.surprise(without, channel.total - without), out=null)
            profile = channel.observed(told)
            surprise, effect = float(channel.surprise(profile, channel.total)[0]), float(channel.effect(profile)[0])
            about = (channel.name, "label", channel.statistic(told, profile), channel.note(told, profile))
            judged.append((surprise, effect, watching.effect, about))
        null.sort()
        return tuple(_judged(null, *one, watching.false_alarm_rate) for one in judged)

    def _losses(self, metric: Metric, promised: float, drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        """The scaled loss of each drawn window beside the other rows; NaN where the metric is undefined."""
        size = drawn.shape[1]
        found = np.array([self._value(metric, _take(self.truth, d), _take(self.predictions, d)) for d in drawn])
        rest = self.rows - size
        losses: NDArray[np.float64] = metric.loss(promised, found) * (self.rows / rest) / math.sqrt(1 / size + 1 / rest)
        return losses

    @staticmethod
    def _value(metric: Metric, truth: Arrays, predictions: Arrays) -> float:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # an undefined metric is expected here, and handled
            try:
                return float(metric.value(truth, predictions))
            except (ValueError, ZeroDivisionError):
                return math.nan


@dataclass(frozen=True)
class _Normal:
    """Scaled losses on the scale of surprises: minus the logarithm of the upper tail of a normal distribution."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, losses: NDArray[np.float64]) -> _Normal:
        return cls(float(np.nanmean(losses)), max(float(np.nanstd(losses)), 1e-12))

    def surprise(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        from scipy.special import log_ndtr

        found: NDArray[np.float64] = np.nan_to_num(-log_ndtr((self.mean - losses) / self.deviation), nan=0.0)
        return found


def jointly(channels: tuple[evidence.Channel, ...], families: int, rate: float) -> tuple[evidence.Channel, ...]:
    """The channels of one of `families` independent families, at a rate for all together (Šidák 1967)."""
    adjusted = ((channel, 1 - (1 - channel.p_value) ** families) for channel in channels)
    return tuple(c.model_copy(update={"p_value": p, "drifted": c.drifted and p <= rate}) for c, p in adjusted)


def _judged(
    null: NDArray[np.float64], surprise: float, effect: float, floor: float, about: tuple[str, Any, float, str], rate: float
) -> evidence.Channel:
    name, kind, statistic, note = about
    p_value = float(ranked(np.array(surprise), null))
    drifted = p_value <= rate and effect >= floor and effect > 0
    return evidence.Channel(name=name, kind=kind, statistic=statistic, effect=effect, p_value=p_value, drifted=drifted, note=note)


def _take(arrays: Arrays, positions: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(values)[positions] for name, values in arrays.items()}
