"""One run of a pipeline, whatever the runner: who asked for what, when, and why."""

from __future__ import annotations

import re
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipelines.core.errors import ConfigError
from pipelines.core.settings import ROOT

CLOCKS = timedelta(hours=1)
"""So far clocks may differ, or one be set back, while a run that began at midnight is still run."""


class Run(BaseModel):
    """Identity and inputs of a run; the same in all its tasks."""

    model_config = ConfigDict(frozen=True)

    project: str
    id: str = Field(default_factory=lambda: new_id("run"))
    """Unique; every task of the run carries it."""
    as_of: datetime = Field(default_factory=lambda: today())
    """Nothing later is read. UTC."""
    profile: str = "full"
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Dotted keys of params.yaml to values."""
    runner: Literal["in_process", "dvc", "airflow"] = "in_process"
    started_by: Literal["person", "schedule", "backfill", "drift"] = "person"
    """What started it; cooldown, budget and whether anybody is told rest on this, never on what people wrote."""
    why: str = ""
    """The reason people gave, in their words."""
    rehearsal: str = ""
    """Name of a rehearsal: the same chain with a champion, alarms and verdicts of its own, in the time of the data. What serves
    is neither asked nor touched. Empty: for real."""
    fresh: bool = False
    """Run every stage, reuse nothing."""
    engine: dict[str, str] = Field(default_factory=dict)
    """The runner's own names for this run, such as Airflow's DAG and run id."""

    @property
    def model_name(self) -> str:
        """What its versions are registered as."""
        return f"{self.project}-{self.rehearsal}" if self.rehearsal else self.project

    @property
    def looks_back(self) -> bool:
        """Whether it is a rehearsal or a backfill: nobody is told of it, and no number of what serves comes from it."""
        return bool(self.rehearsal) or self.started_by == "backfill"

    @field_validator("rehearsal")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", value):
            raise ConfigError(
                f"rehearsal is {value!r}; expected lower-case letters, digits and '_', a letter first, at most 41 in all"
            )
        return value

    @field_validator("as_of")
    @classmethod
    def _not_in_the_future(cls, value: datetime) -> datetime:
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if value > datetime.now(UTC) + CLOCKS:
            raise ConfigError(
                f"as_of is {value:%Y-%m-%d %H:%M} UTC, which is in the future; give a past date or leave it out for today"
            )
        return value


def new_id(prefix: str) -> str:
    """A unique id that sorts by time: `run-20260105T101500-3f9c`."""
    return f"{prefix}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def today() -> datetime:
    """Midnight UTC: the default `as_of`, so that runs of one day see the same data."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def parse_as_of(text: str | None) -> datetime:
    """A date or date-time in ISO form, UTC unless it says otherwise; today when there is none."""
    if not text:
        return today()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"as_of is {text!r}; expected a date such as 2026-01-31 or 2026-01-31T06:00:00") from None


@cache
def git_state(folder: Path = ROOT, code: str = "pipelines") -> dict[str, str]:
    """Commit of the repository around a folder, whether its tree differs from it, and how; empty values where git knows none.

    Files that git does not know (and is not told to ignore) make the tree differ, too, where they lie in `code`, a path below
    the folder; the diff ends with their names. What is no UTF-8 stands in the diff as U+FFFD.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout

    diff = git("diff", "HEAD")
    unknown = git("ls-files", "--others", "--exclude-standard", "--", code).splitlines()
    diff += "".join(f"Only here, unknown to git: {name}\n" for name in unknown)
    return {"commit": git("rev-parse", "HEAD").strip(), "dirty": str(bool(diff)).lower(), "diff": diff}


def own_git_state(project: Path) -> dict[str, str]:
    """The same of a project's folder; nothing where it lies in the platform's repository, or in none."""
    around = _repository(project)
    return git_state(project, ".") if around and around != _repository(ROOT) else {}


def _repository(folder: Path) -> Path | None:
    """The folder of the git repository around this one."""
    place = folder.resolve()
    return next((one for one in (place, *place.parents) if (one / ".git").exists()), None)
