"""Try faults on a real stack and print a table; with --write, its rows replace the same faults' rows in docs/faults.md.

Usage: python -m tests.integration.faults [--times N] [--on sqlite|postgres] [--only WORD] [--write]
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pipelines.core.errors import PipelineError
from pipelines.core.run import git_state
from pipelines.core.settings import ROOT
from tests.integration.faults.stand import DATABASES, Outcome, Stand, many_at_once, server_killed, stand, tasks_killed

Fault = Callable[[Stand, str, Path], Outcome]
Rows = dict[tuple[str, str], str]
"""Lines of the table by fault and database."""
SERVERS = ("scheduler", "api-server", "dag-processor", "triggerer", "mlflow")
MARK = "<!-- table -->"
PAGE = ROOT / "docs" / "faults.md"
COLUMNS = ("fault", "database", "times", "outcome", "last time", "commit")


def _eight(on: Stand, name: str, place: Path) -> Outcome:
    return many_at_once(on, [f"{name}_{number}" for number in range(8)], place)


FAULTS: dict[str, Fault] = {
    "kill -9 of every task, thrice: values computed, values stored, MLflow not told": tasks_killed,
    **{f"kill -9 of {name} while a candidate trains": partial(server_killed, server=name) for name in SERVERS},
    "8 projects started at once": _eight,
}


def tried(database: str, times: int, only: list[str]) -> Iterator[tuple[tuple[str, str], str]]:
    """The rows of the faults that have one of these words in their name, each as soon as it is known."""
    commit = git_state()["commit"][:10]
    with (
        tempfile.TemporaryDirectory() as base,
        DATABASES[database]() as environment,
        stand(Path(base) / "stand", environment) as on,
    ):
        wanted = {what: fault for what, fault in FAULTS.items() if not only or any(word in what for word in only)}
        for number, (what, fault) in enumerate(wanted.items()):
            found = []
            for attempt in range(times):
                place = Path(base) / f"{number}-{attempt}"
                place.mkdir()
                found.append(_once(fault, on, f"f{number}_{attempt}", place))
                print(database, what, found[-1], flush=True)
            right = sum(not one.amiss for one in found)
            amiss = "; ".join(sorted({told for one in found for told in one.amiss}))
            outcome = f"{right} ended right{f': {amiss}' if amiss else ''}"
            cells = (what, database, str(times), outcome, found[-1].note, commit)
            yield (what, database), f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _once(fault: Fault, on: Stand, name: str, place: Path) -> Outcome:
    """What has become of a fault; a wait in vain is an outcome, and the stack is mended for the next one."""
    try:
        return fault(on, name, place)
    except (AssertionError, PipelineError) as error:
        on.up()
        return Outcome([" ".join(str(error).split())[:200]], "did not end")


def written(page: str) -> Rows:
    """The rows a page has."""
    rows = re.finditer(r"^\| ([^|]+) \| ([^|]+) \|.*\|$", page.split(MARK)[1], re.M)
    return {(row[1], row[2]): row[0] for row in rows if row[2] in DATABASES}


def table(rows: Rows) -> str:
    """Faults in the order of the program, each on all its databases."""
    order = [(what, database) for database in DATABASES for what in FAULTS]
    head = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}."
    return "\n".join([machine, "", *head, *(rows[key] for key in order if key in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.faults", description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--on", choices=DATABASES, action="append")
    parser.add_argument("--only", action="append", default=[], help="a word in the fault's name, such as scheduler")
    parser.add_argument("--write", action="store_true", help="write the rows into docs/faults.md")
    asked = parser.parse_args()
    rows: Rows = {}
    for database in asked.on or DATABASES:
        for key, line in tried(database, asked.times, asked.only):
            rows[key] = line
            if asked.write:
                write(rows)
    print(table(rows))


def write(rows: Rows) -> None:
    """Put rows into the page, in place of those of the same fault and database."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, after = page.split(MARK)
    PAGE.write_text(f"{before}{MARK}\n\n{table(written(page) | rows)}\n\n{MARK}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
