"""The cells of `drift_calibration` as tables and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.drift_usual import RULES
from bench.drift_world import WORLDS

Cells = dict[tuple[str, str, int], Any]
SHOWN = ("ours", *RULES[:5])
FLOOR = "**with the floor**"


def tables(cells: Cells, machine: str, streams: int) -> str:
    """Markdown: false alarms, delays, seasons, and how far Evidently's rules were checked."""
    text = [f"{machine}; {streams:,} streams of 52 weeks, each with a reference of its own of 5,000 rows.", ""]
    parts = (_ours(cells), _usual(cells), _delays(cells), _seasons(cells), _real(cells))
    return "\n".join([*text, *(line for part in parts for line in (*part, ""))]).rstrip() + "\n"


def plot(cells: Cells, path: Path) -> None:
    """False alarms a year by window size, and weeks to detection by strength of a shift in 3 columns."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes, shifts = _sizes(cells, "null"), (0.1, 0.2, 0.3)
    for rule in SHOWN:
        bold = {"linewidth": 3, "color": "black", "zorder": 9} if rule == "ours" else {"linewidth": 1.2}
        names = {"ours": "ours, with the floor on the effect"}
        found = [
            cells["null", "independent|floored", n][0] if rule == "ours" else cells["usual", f"independent|{rule}", n]
            for n in sizes
        ]
        left.plot(sizes, [52 * rate[0] for rate in found], marker="o", **bold)
        seen = [cells["drift", f"{rule}|{s} σ in 3 of 30", 200][0] for s in shifts]
        right.plot(shifts, [60 if week is None else week for week in seen], marker="o", label=names.get(rule, rule), **bold)
    bare = [52 * cells["null", "independent|plain", size][0][0] for size in sizes]
    left.plot(sizes, bare, marker="o", linewidth=3, color="grey", zorder=8, label="ours, without the floor")
    left.axhline(52 * 0.05, color="grey", linestyle=":")
    left.set(
        xscale="log",
        xticks=sizes,
        xticklabels=[f"{size:,}" for size in sizes],
        xlabel="rows in a window",
        ylabel="alarms in 52 windows",
        title="Nothing drifts (dotted: stated)",
    )
    left.minorticks_off()
    left.legend(fontsize=7)
    right.set(
        xticks=shifts,
        xlabel="σ in 3 of 30 columns, 200 rows",
        ylabel="median week of the first alarm",
        title="Something does (60: never)",
    )
    right.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _sizes(cells: Cells, kind: str) -> list[int]:
    return sorted({size for which, _, size in cells if which == kind})


def _head(name: str, *numbers: str) -> tuple[str, str]:
    """The first two lines of a table: a column of names, and columns of numbers."""
    return f"| {' | '.join((name, *numbers))} |", f"| --- |{' ---: |' * len(numbers)}"


def _ours(cells: Cells) -> list[str]:
    text = [
        "### False alarms",
        "",
        "Share of windows with an alarm when nothing drifts, with 95 % intervals over references. Without the floor on the effect it is "
        "what the calibration is worth; the floor then takes away alarms about what is too small to matter.",
        "",
        *_head("columns", "rows", "one window, stated 5 %", "chart, stated 5 %", FLOOR, "chart, stated 2 %", FLOOR),
    ]
    for world in WORLDS:
        for size in _sizes(cells, "null"):
            plain, floored = (cells["null", f"{world}|{what}", size] for what in ("plain", "floored"))
            shown = (cells["null", f"{world}|window", size][0], plain[0], floored[0], plain[1], floored[1])
            text.append(f"| {world} | {size:,} | {' | '.join(_share(rate) for rate in shown)} |")
    return text


def _usual(cells: Cells) -> list[str]:
    text = [
        "The usual rules on the same windows:",
        "",
        *_head("columns", "rows", *RULES),
    ]
    for world in WORLDS:
        for size in _sizes(cells, "usual"):
            found = [cells["usual", f"{world}|{rule}", size] for rule in RULES]
            text.append(f"| {world} | {size:,} | {' | '.join(_share(rate) for rate in found)} |")
    return text


def _share(rate: list[float]) -> str:
    value, low, high, _ = rate
    return f"{value:.1%}" if high - low < 5e-4 else f"{value:.1%} ({low:.1%} to {high:.1%})"


def _delays(cells: Cells) -> list[str]:
    changes = list(dict.fromkeys(name.split("|")[1] for which, name, _ in cells if which == "drift"))
    text = [
        "### Delays",
        "",
        "Median week of the first alarm after the change, and in brackets the share of streams with one within 52 weeks; ours at a stated "
        "5 % with the floor. Rules that also alarm in more than 10 % of windows without drift are in italics: their short delays are "
        "no merit.",
        "",
        *_head("change", "rows", *("**ours**" if rule == "ours" else rule for rule in SHOWN)),
    ]
    for change in changes:
        for size in _sizes(cells, "drift"):
            noisy = {rule for rule in RULES if cells["usual", f"independent|{rule}", size][0] > 0.1}
            shown = [_delay(cells["drift", f"{rule}|{change}", size], rule in noisy) for rule in SHOWN]
            text.append(f"| {change} | {size:,} | {' | '.join(shown)} |")
    return text


def _delay(found: tuple[float | None, float], noisy: bool) -> str:
    week, share = found
    text = f"{'never' if week is None else f'{week:g}'} ({share:.0%})"
    return f"*{text}*" if noisy else text


def _seasons(cells: Cells) -> list[str]:
    text = [
        "### Seasons",
        "",
        "Three of 30 columns swing by 0.3 σ over the year, and nothing else changes. Share of windows with an alarm, beside reference "
        "rows of the same season (`monitor.season`), and beside all of them:",
        "",
        *_head("reference rows", "rows", "chart, stated 5 %", FLOOR, "chart, stated 2 %", FLOOR),
    ]
    for name in ("of the same season", "of all the year"):
        for size in _sizes(cells, "season"):
            plain, floored = (cells["season", f"{name}|{what}", size] for what in ("plain", "floored"))
            shown = (plain[0], floored[0], plain[1], floored[1])
            text.append(f"| {name} | {size:,} | {' | '.join(_share(rate) for rate in shown)} |")
    text += ["", "The usual rules on the same windows, beside all of the year:", "", *_head("rows", *RULES)]
    for size in _sizes(cells, "usual in a season"):
        text.append(f"| {size:,} | {' | '.join(_share(cells['usual in a season', rule, size]) for rule in RULES)} |")
    changes = list(dict.fromkeys(name for which, name, _ in cells if which == "late"))
    sizes = _sizes(cells, "late")
    text += [
        "",
        "Median week of our first alarm after a change beside the season, stated 5 % with the floor, and the share of streams with one:",
        "",
    ]
    text += _head("change", *(f"{size:,} rows" for size in sizes))
    for change in changes:
        text.append(f"| {change} | {' | '.join(_delay(cells['late', change, size], False) for size in sizes)} |")
    return text


def _real(cells: Cells) -> list[str]:
    sizes = _sizes(cells, "evidently")
    told = [cells["evidently", "", size] for size in sizes]
    agree, column, half = (", ".join(str(each[what]) for each in told) for what in ("agree", "any", "half"))
    return [
        f"Evidently itself was run on {told[0]['windows']} windows each of {', '.join(f'{size:,}' for size in sizes)} rows, half of them "
        f"with 0.3 σ in 3 columns: its answers (any column; half of the columns) were those of the rules above in {agree}. Of the "
        f"{told[0]['windows'] // 2} without drift it called some column drifted in {column}, the data set in {half}."
    ]
