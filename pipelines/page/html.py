"""The Models page as HTML. Whatever is filled in is escaped; there is no script and no style in the page itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipelines.core.evidence import CAUTION
from pipelines.page.engine import Scheduled
from pipelines.page.plots import plot
from pipelines.page.reading import Glance, Story, headline_of

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
STATIC = HERE / "static"
NOBODY = Scheduled()
RECENT = 60
"""So many entries or windows a plot shows."""


@dataclass(frozen=True)
class Setting:
    """What every page needs to know of where and when it is shown."""

    here: str
    """Path under which the page is served, without a slash at the end."""
    now: datetime
    silent: str = ""
    """Why MLflow's pages cannot be reached; empty when they can."""

    @property
    def airflow(self) -> str:
        """Path of Airflow's own pages."""
        return self.here.rpartition("/")[0]


def overview(
    setting: Setting,
    glances: Sequence[Glance],
    scheduled: Mapping[str, Scheduled],
    words: str = "",
    only: str = "",
    fault: str = "",
) -> str:
    """All projects that match: `words` in name, title, owner, system or tags; `only="attention"` those that wait for a person."""
    rows = [(one, scheduled.get(one.name, NOBODY)) for one in glances if _matches(one, words)]
    urgent = [row for row in rows if needs_attention(*row)]
    return (
        _environment()
        .get_template("overview.html.jinja")
        .render(
            setting=setting,
            rows=urgent if only == "attention" else rows,
            total=len(glances),
            urgent=len(urgent),
            words=words,
            only=only,
            fault=fault,
        )
    )


def project(setting: Setting, story: Story, scheduled: Scheduled) -> str:
    """One project's page."""
    judged = [(entry, estimate) for entry in story.entries if (estimate := headline_of(entry)) and entry.kind != "rollback"][
        -RECENT:
    ]
    return (
        _environment()
        .get_template("project.html.jinja")
        .render(
            setting=setting,
            one=story.glance,
            engine=scheduled,
            story=story,
            judged=judged,
            history=plot([estimate for _, estimate in judged], 640, 200, margin=12),
            every=max(1, len(judged) // 12),
            windows=story.verdicts[-RECENT:],
            run_page=run_page,
            headline_of=headline_of,
        )
    )


def refusal(setting: Setting, status: int, what: str) -> str:
    """A page for who may not look, or asks for what is not there."""
    return _environment().get_template("refusal.html.jinja").render(setting=setting, status=status, what=what)


def needs_attention(glance: Glance, scheduled: Scheduled) -> bool:
    """Whether something here waits for a person: a fault, an alarm, an approval."""
    return bool(glance.faults or glance.waiting or scheduled.approvals)


def run_page(engine: Scheduled, run: str) -> str:
    """Address of a run's page in the engine; empty for a run of another runner.

    >>> run_page(Scheduled(training="/dags/churn_training"), "churn_training.manual__2026-03-01T00:00:00+00:00")
    '/dags/churn_training/runs/manual__2026-03-01T00%3A00%3A00%2B00%3A00'
    """
    dag, _, dag_run = run.partition(".")
    pages = [page for page in (engine.training, engine.monitoring) if page.rpartition("/")[2] == quote(dag)]
    return f"{pages[0]}/runs/{quote(dag_run)}" if pages and dag_run else ""


def age(since: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits.

    >>> from datetime import UTC
    >>> [age(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, d, h, tzinfo=UTC)) for d, h in ((1, 0), (1, 5), (2, 1), (9, 0))]
    ['just now', '5 hours', '25 hours', '8 days']
    """
    span = now - since
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        count = span // length
        if count >= (2 if unit == "day" else 1):
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "just now"


def ahead(when: datetime, now: datetime) -> str:
    """How long until then.

    >>> from datetime import UTC
    >>> ahead(datetime(2026, 3, 1, 3, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    'in 3 hours'
    """
    return f"in {age(now, when)}" if when - now >= timedelta(minutes=1) else "now"


def _matches(glance: Glance, words: str) -> bool:
    said = [glance.name, glance.title]
    if glance.deployment:
        said += [glance.deployment.owner, glance.deployment.system or "", *glance.deployment.tags]
    return all(word in " ".join(said).casefold() for word in words.casefold().split())


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ago"] = age
    environment.filters["ahead"] = ahead
    environment.globals["caution"] = CAUTION
    return environment
