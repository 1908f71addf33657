"""Run the benchmarks, print the tables, and with --write put them into docs/benchmarks.md.

Usage: python -m bench [--repeats N] [--only in_process|peers|dags|airflow|loader|vision] [--write]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from bench.measure import Timing, machine
from pipelines.core.run import git_state
from pipelines.core.settings import ROOT


def _in_process(repeats: int) -> tuple[list[Timing], list[str]]:
    from bench import in_process

    return in_process.measure(repeats), []


def _peers(repeats: int) -> tuple[list[Timing], list[str]]:
    from bench import peers

    return peers.measure(repeats)


def _dags(repeats: int) -> tuple[list[Timing], list[str]]:
    from bench import dags

    return dags.measure(repeats)


def _airflow(repeats: int) -> tuple[list[Timing], list[str]]:
    from bench import airflow_overhead

    return airflow_overhead.measure(repeats)


def _loader(repeats: int) -> tuple[list[Timing], list[str]]:
    from bench import loader

    return loader.measure(repeats)


def _vision(repeats: int) -> tuple[list[Timing], list[str]]:
    from bench import vision

    return vision.measure(repeats)


SECTIONS: dict[str, tuple[str, Callable[[int], tuple[list[Timing], list[str]]]]] = {
    "in_process": ("Churn, sample profile, in one process", _in_process),
    "peers": ("A chain of eight steps that do nothing, per step", _peers),
    "dags": ("Parsing DAG files", _dags),
    "airflow": ("Through Airflow, per task", _airflow),
    "loader": ("Images into batches", _loader),
    "vision": ("One image through a network", _vision),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Medians with spread, ratios to the first row.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    arguments = parser.parse_args()
    console = Console()
    header = (
        f"{machine()}; commit {git_state()['commit'][:10] or 'none'}; {datetime.now(UTC):%Y-%m-%d}; {arguments.repeats} repeats"
    )
    console.print(header)
    text = [
        "# Benchmarks",
        "",
        "Written by `make bench`. Medians with their range; ratios are to the first row of a table.",
        "",
        header,
    ]
    for name in arguments.only or SECTIONS:
        title, measure = SECTIONS[name]
        found, notes = measure(arguments.repeats)
        rows = [(*one.cells(), f"{one.median / found[0].median:,.2f}") for one in found]
        table = Table("what", "median ms", "range ms", "ratio", title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table, *notes, sep="\n")
        text += ["", f"## {title}", "", "| what | median ms | range ms | ratio |", "| --- | ---: | ---: | ---: |"]
        text += [f"| {' | '.join(row)} |" for row in rows] + ([""] if notes else []) + [f"- {note}" for note in notes]
    if arguments.write:
        (ROOT / "docs" / "benchmarks.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
