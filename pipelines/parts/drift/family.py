"""All channels of one reference: what is watched of a project's arrays.

Names that are `score`, or begin with `score.`, are the model's own answers. Text is categorical, and so are numbers with a
handful of distinct values: flags, counts, predicted classes. An array of shape (rows, k) becomes k channels. A value is
missing when it is NaN, None, empty or `(missing)`; each column of the data gets a second channel for its missing rate, the
model's answers do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.contract import Arrays
from pipelines.parts.drift.channels import Categorical, Channel, Kind, Missing, Numeric
from pipelines.parts.drift.coding import Coder, Codes, Levels, Positions, Quantiles
from pipelines.parts.drift.joint import Joint

FEW = 12
"""So many distinct numbers at most, each ten times on average, are taken as categories."""
Channels = dict[str, NDArray[Any]]


def as_channels(arrays: Arrays) -> Channels:
    """Every channel as floats (NaN missing) or as text ('' missing), one dimension each."""
    found: Channels = {}
    for name, array in arrays.items():
        values = np.asarray(array)
        if values.ndim == 1:
            found[name] = _floats_or_text(values)
        else:
            columns = values.reshape(len(values), -1).T
            found |= {f"{name}[{place}]": _floats_or_text(column) for place, column in enumerate(columns)}
    return found


def frozen(channels: Channels) -> Channels:
    """The channels of a reference: numbers with a handful of distinct values become text."""
    return {name: as_text(values) if _few(values) else values for name, values in channels.items()}


def alike(window: Channels, reference: Channels) -> Channels:
    """The window's channels as the reference has them; one that is absent, or text for numbers, counts as missing."""
    rows = len(next(iter(window.values())))
    found: Channels = {}
    for name, values in reference.items():
        text, given = _is_text(values), window.get(name)
        if given is None or (_is_text(given) and not text):
            found[name] = np.full(rows, "" if text else np.nan)
        else:
            found[name] = as_text(given) if text else given
    return found


def as_text(values: NDArray[Any]) -> NDArray[np.str_]:
    """Numbers as people write them, '' for NaN; text as it is."""
    if _is_text(values):
        return values
    levels, places = np.unique(values, return_inverse=True)
    written: NDArray[np.str_] = np.array(["" if level != level else f"{level:.6g}" for level in levels.tolist()], dtype=str)
    return written[places]


def kind_of(name: str, values: NDArray[Any]) -> Kind:
    """What a channel holds, from its name (`score.…` are the model's answers) and the type of its values."""
    if re.split(r"[.\[]", name)[0] == "score":
        return "prediction" if _is_text(values) else "score"
    return "categorical" if _is_text(values) else "numeric"


def coders(channels: Channels) -> dict[str, Coder]:
    """What turns each column of the reference, and of windows, into codes."""
    return {name: Levels(values) if _is_text(values) else Quantiles(values) for name, values in channels.items()}


def family(
    channels: Channels, coders: Mapping[str, Coder], codes: Mapping[str, Codes], learnt: Positions, pool: Positions
) -> list[Channel]:
    """The channels of a reference, in the order of its arrays, missing rates after them, all columns together at the end.

    `learnt` and `pool` are positions of rows, see `Joint`.
    """
    found: list[Channel] = []
    rates: list[Channel] = []
    columns: dict[str, Coder] = {}
    for name, coder in coders.items():
        kind = kind_of(name, channels[name])
        found.append(one(name, kind, coder, codes[name], channels[name]))
        if kind in ("numeric", "categorical"):
            rates.append(Missing(name, coder.width - 1, codes[name]))
            columns[name] = coder
    joint = Joint(columns, codes, learnt, pool)
    return [*found, *rates, *([joint] if joint.width > 1 else [])]


def one(name: str, kind: Kind, coder: Coder, codes: Codes, values: NDArray[Any]) -> Channel:
    """The channel of one array: numbers by their distribution, texts by their levels."""
    if isinstance(coder, Quantiles):
        return Numeric(name, kind, coder, codes, values)
    assert isinstance(coder, Levels), coder
    return Categorical(name, kind, coder, codes)


def _is_gone(value: Any) -> bool:
    """None, NaN, and a missing value like pandas' own, which will not even say whether it equals itself."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True


def _is_text(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "US"


def _few(values: NDArray[Any]) -> bool:
    return not _is_text(values) and np.unique(values[np.isfinite(values)]).size <= min(FEW, values.size // 10)


def _floats_or_text(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "O":
        gone = np.array([_is_gone(value) for value in values], dtype=bool)
        return np.where(gone, "", values.astype(str))
    return values.astype(str) if _is_text(values) else values.astype(float, copy=False)
