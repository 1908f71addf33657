"""`pipelines policies`: what retraining never, always or on drift would have been worth."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.output import emit, streams
from pipelines.cli.projects import Json, Name
from pipelines.cli.run import Overrides, Profile

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pipelines.core.execution import Session
    from pipelines.runners.policies import Year

Chosen = Annotated[
    list[str] | None,
    typer.Option(
        "--policy", metavar="NAME", help="never, always or drift; repeat for more, all when left out.", show_default=False
    ),
]
Since = Annotated[
    str | None, typer.Option("--from", metavar="DATE", help="End of the first window; the replay's.", show_default=False)
]
Until = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="End of the last window; the replay's.", show_default=False)
]
Every = Annotated[int, typer.Option("--every", metavar="WEEKS", min=1, help="Weeks from one window's end to the next.")]


def policies(
    project: Name,
    policy: Chosen = None,
    since: Since = None,
    until: Until = None,
    every: Every = 1,
    profile: Profile = "full",
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Rehearse a year under each retraining policy: champion quality over time, and what it cost.

    What serves is not touched. What was computed before, also by an Airflow backfill, is reused; the same year again costs little.

    [bold]Examples[/]

      pipelines policies churn --profile sample
      pipelines policies churn --profile sample --policy never --policy drift --every 4
    """
    from pipelines.cli.run import open_session
    from pipelines.runners.policies import POLICIES, Asked, rehearse
    from pipelines.tracking.runs import MlflowTracker

    session = open_session(project, None, profile, overrides or [])
    asked = Asked(project, _dates(session, since, until, every), profile, dict(session.run.overrides))

    def close(training: Session) -> None:
        MlflowTracker(training.settings).finish(training, "FINISHED")

    with _bar() as progress:
        years = rehearse(asked, policy or list(POLICIES), lambda training: MlflowTracker(training.settings), close, progress)
    folder = session.settings.home / "reports" / project / "policies"
    picture = _draw(session, years, folder)
    document = {
        "project": project,
        "profile": profile,
        "metric": session.params.evaluate.metric,
        "policies": [year.model_dump(mode="json") for year in years],
        "plot": str(picture),
    }
    if as_json:
        emit(document)
    else:
        _show(document, years)


def _dates(session: Session, since: str | None, until: str | None, every: int) -> list[datetime]:
    """Ends of the windows: Mondays of the replay, or what is said. Raises ConfigError where neither says, or both what cannot be."""
    from datetime import UTC, datetime, time, timedelta

    from pipelines.core.errors import ConfigError
    from pipelines.core.run import CLOCKS, parse_as_of

    replay, week = session.params.replay, timedelta(weeks=1)
    if replay is None and not (since and until):
        raise ConfigError(f"{session.run.project} has no replay in params.yaml, so say which span: --from DATE --to DATE")
    start = datetime.combine(replay.start, time(), UTC) if replay else datetime.now(UTC)
    first = _utc(parse_as_of(since)) if since else start + session.params.window * week
    last = _utc(parse_as_of(until)) if until else start + (replay.weeks if replay else 0) * week
    if last > datetime.now(UTC) + CLOCKS:
        which = "--to" if until else "without --to, the end of the replay"
        raise ConfigError(f"{which} is {last:%Y-%m-%d %H:%M} UTC, which is in the future; give a past date with --to")
    if first > last:
        raise ConfigError(f"--from is {first:%Y-%m-%d %H:%M} UTC, after the end, {last:%Y-%m-%d %H:%M} UTC; give an earlier date")
    return [first + number * every * week for number in range(max(0, (last - first) // (every * week) + 1))]


def _utc(moment: datetime) -> datetime:
    from datetime import UTC

    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int, str], None]]:
    """Progress on stderr; gives the function that is told of each step."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    shown = (
        TextColumn("{task.description:<20}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    )
    with Progress(*shown, console=streams().aside) as bars:
        task = bars.add_task("")
        yield lambda done, total, message: bars.update(task, completed=done, total=total, description=message)


def _draw(session: Session, years: tuple[Year, ...], folder: Path) -> Path:
    from pipelines.parts.reports.policies import Line, draw

    folder.mkdir(parents=True, exist_ok=True)
    picture, metric = folder / "policies.png", session.params.evaluate.metric
    lines = [
        Line(
            year.policy,
            [week.as_of for week in year.weeks[1:]],
            [week.metric for week in year.weeks[1:]],
            [week.as_of for week in year.weeks[1:] if week.promoted],
        )
        for year in years
    ]
    draw(lines, metric, f"{session.definition.deployment.title}: the champion on each window, by retraining policy", picture)
    return picture


def _show(document: dict[str, Any], years: tuple[Year, ...]) -> None:
    from rich.table import Table

    table = Table(
        box=None, pad_edge=False, title=f"{document['project']}, {len(years[0].weeks) - 1} windows", title_justify="left"
    )
    for name in (
        "policy",
        f"mean {document['metric']}",
        f"gain over {years[0].policy}",
        "trainings",
        "promotions",
        "alarms",
    ):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for year in years:
        gain = f"{year.gain.value:+.4f} [{year.gain.low:+.4f}, {year.gain.high:+.4f}]" if year.gain else ""
        counts = (year.trainings, year.promotions, year.alarms)
        table.add_row(year.policy, str(year.mean), gain, *map(str, counts))
    streams().result.print(table)
    streams().result.print(f"\nplot  {document['plot']}", soft_wrap=True)
