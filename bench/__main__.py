"""Run benchmarks and print their tables; with --write, they replace the same tables in docs/benchmarks.md.

Usage: python -m bench [--repeats N] [--only SECTION]… [--write]; --help names the sections.
"""

from __future__ import annotations

import argparse
import importlib
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from bench.measure import machine
from pipelines.core.run import git_state
from pipelines.core.settings import ROOT

SECTIONS = {
    "make_run": "`make run` in a fresh clone",
    "in_process": "Churn, sample profile, in one process",
    "peers": "A chain of eight steps that do nothing, per step",
    "dags": "Parsing DAG files",
    "airflow_overhead": "Through Airflow, per task",
    "operations": "Operating churn, sample profile",
    "page": "The Models page",
    "loader": "Images into batches",
    "vision": "One image through a network",
    "drift": "A drift verdict beside Evidently",
}
"""Titles by module of this package; each has `measure(repeats)`, which gives timings and notes."""

PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`. Medians with their range; ratios are to the first row of a table."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Medians with spread, ratios to the first row.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    arguments = parser.parse_args()
    console = Console()
    header = (
        f"{machine()}; commit {git_state()['commit'][:10] or 'none'}; {datetime.now(UTC):%Y-%m-%d}; {arguments.repeats} repeats"
    )
    console.print(header)
    for name in arguments.only or SECTIONS:
        title = SECTIONS[name]
        found, notes = importlib.import_module(f"bench.{name}").measure(arguments.repeats)
        rows = [(*one.cells(), f"{one.median / found[0].median:,.2f}") for one in found]
        table = Table("what", "median ms", "range ms", "ratio", title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table, *notes, sep="\n")
        lines = [header, "", "| what | median ms | range ms | ratio |", "| --- | ---: | ---: | ---: |"]
        lines += [f"| {' | '.join(row)} |" for row in rows] + ([""] if notes else []) + [f"- {note}" for note in notes]
        if arguments.write:
            PAGE.write_text(page(written(PAGE.read_text(encoding="utf-8")) | {title: "\n".join(lines)}), encoding="utf-8")


def written(text: str) -> dict[str, str]:
    """The tables of a page by their titles, each with the line that says where, when and of what it was measured."""
    return {title: body.strip() for title, _, body in (part.partition("\n") for part in text.split("\n## ")[1:])}


def page(tables: dict[str, str]) -> str:
    """The whole page, in the order of the program; a table that the program does not know any more is left out."""
    titles = [title for title in SECTIONS.values() if title in tables]
    return "\n".join([HEAD, *(f"\n## {title}\n\n{tables[title]}" for title in titles), ""])


if __name__ == "__main__":
    main()
