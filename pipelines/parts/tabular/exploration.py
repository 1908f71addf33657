"""What a table is like, on one plain page: each column by split, what is missing, the balance of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipelines.core.contract import Splits
from pipelines.parts.reports.drawing import COLOURS
from pipelines.parts.tabular.docs import page
from pipelines.parts.tabular.schema import Schema

BINS = 20
"""Bars of a number's histogram."""
LEVELS = 12
"""Most levels of a category that get a bar; the rest share one."""
_PARTS = ("train", "valid", "test")


class Shape(NamedTuple):
    """How a column's values are spread in each split."""

    bars: Sequence[str]
    """What each bar stands for."""
    shares: Mapping[str, Sequence[float]]
    """Split to the share of its known values in each bar."""
    missing: Mapping[str, float]
    """Split to the share of cells without a value."""


def explore(splits: Splits[pd.DataFrame], schema: Schema, folder: Path) -> None:
    """Write index.html into `folder`: the target first, then every column that is no id, engineered ones included."""
    parts = {name: getattr(splits, name) for name in _PARTS}
    names = [str(name) for name in splits.train.columns if name not in schema.ids]
    names.sort(key=lambda name: name != schema.target)  # stable: the others keep their order
    docs = {column.name: column.doc for column in schema.columns}
    rows = ", ".join(f"{name} {len(part):,}" for name, part in parts.items())
    key = " ".join(f'<b style="color:{colour}">■ {name}</b>' for name, colour in zip(_PARTS, COLOURS, strict=False))
    sections = [_section(name, docs.get(name, ""), shape({p: f[name] for p, f in parts.items()})) for name in names]
    body = f"<p>Rows: {rows}. Bars are shares of a split's known values: {key}</p>" + "".join(sections)
    (folder / "index.html").write_text(page("The data by split", body), encoding="utf-8")


def shape(cells: Mapping[str, pd.Series[Any]]) -> Shape:
    """One column's spread: a histogram over the range of all splits for numbers and times, the commonest levels for the rest."""
    missing = {part: float(values.isna().mean()) if len(values) else 0.0 for part, values in cells.items()}
    known = {part: values.dropna() for part, values in cells.items()}
    everything = pd.concat(list(known.values()))
    if pd.api.types.is_datetime64_any_dtype(everything):
        edges, numbers = _edges(_numbers(everything)), {part: _numbers(values) for part, values in known.items()}
        words = [f"{pd.Timestamp(int(edge)):%Y-%m-%d}" for edge in edges]
    elif pd.api.types.is_numeric_dtype(everything) and not pd.api.types.is_bool_dtype(everything):
        edges, numbers = _edges(_numbers(everything)), {part: _numbers(values) for part, values in known.items()}
        words = [f"{edge:.4g}" for edge in edges]
    else:
        return _levels({part: values.astype(str) for part, values in known.items()}, missing)
    bars = [f"{low} to {high}" for low, high in pairwise(words)]
    counts = {part: np.histogram(values, edges)[0] for part, values in numbers.items()}
    return Shape(bars, {part: (count / max(count.sum(), 1)).tolist() for part, count in counts.items()}, missing)


def _numbers(values: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Finite numbers; of a time, its nanoseconds."""
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.astype("int64")
    numbers = values.to_numpy(dtype=float)
    finite: np.ndarray[Any, np.dtype[np.float64]] = numbers[np.isfinite(numbers)]
    return finite


def _edges(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _levels(cells: Mapping[str, pd.Series[Any]], missing: Mapping[str, float]) -> Shape:
    counts = {part: values.value_counts() for part, values in cells.items()}
    total = pd.concat(list(cells.values())).value_counts()
    shown = sorted(total.index, key=lambda level: (-total[level], level))[:LEVELS]
    rest = len(total) - len(shown)
    shares = {}
    for part, count in counts.items():
        of = [float(count.get(level, 0)) / max(int(count.sum()), 1) for level in shown]
        shares[part] = [*of, max(0.0, 1 - sum(of))] if rest else of
    return Shape([*shown, *([f"{rest:,} others"] if rest else [])], shares, missing)


def _section(name: str, doc: str, spread: Shape) -> str:
    blank = ", ".join(f"{part} {share:.1%}" for part, share in spread.missing.items() if share)
    about = f"{escape(doc)} " if doc else ""
    return f"<h2>{escape(name)}</h2><p>{about}<small>missing: {blank or 'nothing'}</small></p>{_chart(spread)}"


def _chart(spread: Shape) -> str:
    """Bars side by side, one a split, whose words are shown when pointed at; where there are few, also below, with train's share."""
    width, height, top = 720, 80, max((max(of, default=0) for of in spread.shares.values()), default=0) or 1
    step = min(width / max(len(spread.bars), 1), 90)
    thin = step * 0.8 / len(_PARTS)
    bars = [
        f'<rect x="{n * step + k * thin:.1f}" y="{height - height * share / top:.1f}" width="{thin:.1f}" '
        f'height="{height * share / top:.1f}" fill="{colour}"><title>{escape(spread.bars[n])}, {part}: {share:.1%}</title></rect>'
        for k, (part, colour) in enumerate(zip(_PARTS, COLOURS, strict=False))
        for n, share in enumerate(spread.shares[part])
    ]
    if len(spread.bars) <= LEVELS + 1:
        shown = [(n * step, word, f"{spread.shares['train'][n]:.0%}") for n, word in enumerate(spread.bars)]
    else:
        ends = spread.bars[0].split(" to ")[0], spread.bars[-1].split(" to ")[-1]
        shown = [(0.0, ends[0], ""), (len(spread.bars) * step - step, ends[1], "")]
    text = "".join(
        f'<text x="{x:.0f}" y="{height + 14}">{escape(word[: max(int(step // 6), 10)])}</text>'
        f'<text x="{x:.0f}" y="{height + 27}" opacity="0.6">{share}</text>'
        for x, word, share in shown
    )
    box = f'viewBox="0 0 {width} {height + 32}" width="{width}" font-size="11" fill="currentColor" role="img"'
    return f"<svg {box}>{''.join(bars)}{text}</svg>"
