"""What there is to say of every project, read from the store: the ledger, the alarms and the verdicts of monitoring.

A project whose files or records are broken is told of with its faults and harms no other. Journals only grow, so a project's
are read again only when they have new entries or its deployment.yaml was touched; its newest verdict is read each time.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from pipelines.core.alarms import Alarms, Event, still_open
from pipelines.core.deployment import Deployment
from pipelines.core.discovery import Definition, find_projects
from pipelines.core.errors import ConfigError, DataError, PipelineError, did_you_mean
from pipelines.core.evidence import Estimate, Verdict, in_order
from pipelines.core.ledger import Entry, History, Ledger
from pipelines.core.scrub import scrub
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.page.plots import Plot, plot
from pipelines.tracking import open_runs

SMALL = (110, 26)
"""Width and height of a trend, pixels."""
JOURNALS = ("ledger", "alarms")
"""Where in the store a project has a journal, by its name."""

Stamp = tuple[object, ...]


@dataclass(frozen=True)
class Turn:
    """One time that a version was champion."""

    version: int
    candidate: str
    since: datetime
    metric: Estimate | None
    """Headline metric on the test rows of its own run."""


@dataclass(frozen=True)
class Glance:
    """A project at a glance. What cannot be read is empty and named in `faults`."""

    name: str
    deployment: Deployment | None
    champion: Entry | None
    turns: tuple[Turn, ...]
    """All champions, the one that serves last."""
    trend: Plot
    """The metrics of `turns`, drawn small."""
    headline: str
    """Name of the metric in `turns`."""
    last: Entry | None
    """The newest promotion, rejection or rollback."""
    verdict: Verdict | None
    """On the champion that serves, the last one reached in the newest window; None where that window was checked without it."""
    waiting: tuple[str, ...]
    """Alarms that no run has answered yet."""
    alarm_run: str
    """The monitoring run that raised the newest alarm; empty when there was none."""
    mlflow: str
    """Page of the champion's run; empty where no server shows it."""
    faults: tuple[str, ...]

    @property
    def title(self) -> str:
        return self.deployment.title if self.deployment else self.name


@dataclass(frozen=True)
class Story:
    """A project's whole past."""

    glance: Glance
    entries: tuple[Entry, ...]
    """Promotions, rejections and rollbacks, oldest first."""
    events: tuple[Event, ...]
    """What became of its alarms, oldest first."""
    verdicts: tuple[Verdict, ...]
    """By window, oldest first; those on one window as they were reached."""


class Reader:
    """Reads one installation. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store.open(settings.store, settings.home / "cache" / "store")
        self._known: dict[str, tuple[Stamp, Glance]] = {}
        self._lock = threading.Lock()

    def glances(self) -> list[Glance]:
        """Every project, by name. Raises ConfigError when projects cannot be told apart."""
        definitions = find_projects(self.settings.projects)
        keys, newest = self._keys(), self.store.newest("verdicts/")
        with self._lock:
            self._known = {name: self._current(found, keys[name]) for name, found in sorted(definitions.items())}
            return [self._with_verdict(glance, newest.get(name, [])) for name, (_, glance) in self._known.items()]

    def story(self, name: str) -> Story:
        """All of one project. Raises ConfigError with close matches when there is no such project."""
        definitions = find_projects(self.settings.projects)
        if name not in definitions:
            raise ConfigError(f"there is no project {name!r}; {did_you_mean(name, definitions)}")
        faults = list[str]()
        verdicts: tuple[Verdict, ...] = ()
        glance, entries, events = self._read(definitions[name])
        with _told(faults):
            verdicts = tuple(in_order(self._verdict(key) for key in self.store.keys(f"verdicts/{name}/")))
        glance = replace(glance, verdict=newest_on(glance.champion, verdicts), faults=(*glance.faults, *faults))
        return Story(glance, entries, events, verdicts)

    def _keys(self) -> Mapping[str, tuple[str, ...]]:
        """The keys of each project's journals, from two listings however many projects there are."""
        found: dict[str, list[str]] = defaultdict(list)
        for place in JOURNALS:
            for key in self.store.keys(f"{place}/"):
                found[key.split("/", 2)[1]].append(key)
        return defaultdict(tuple, {name: tuple(keys) for name, keys in found.items()})

    def _current(self, definition: Definition, keys: tuple[str, ...]) -> tuple[Stamp, Glance]:
        stamp = (keys, _stamp_of(definition))
        known = self._known.get(definition.name)
        if known and known[0] == stamp and not known[1].faults:  # what was broken may have been mended in place
            return known
        return stamp, self._read(definition)[0]

    def _with_verdict(self, glance: Glance, keys: list[str]) -> Glance:
        faults, verdict = list(glance.faults), None
        with _told(faults):
            verdict = newest_on(glance.champion, in_order(map(self._verdict, keys)))
        return replace(glance, verdict=verdict, faults=tuple(faults))

    def _read(self, definition: Definition) -> tuple[Glance, tuple[Entry, ...], tuple[Event, ...]]:
        """All but the verdicts."""
        name, faults = definition.name, list[str]()
        deployment, history, mlflow = None, History(), ""
        events: tuple[Event, ...] = ()
        with _told(faults):
            deployment = definition.deployment
        with _told(faults):
            history = Ledger(self.store).history(name)
        with _told(faults):
            events = Alarms(self.store, name).events()
        champion = history.champion
        with _told(faults):
            claim = champion and open_runs.claimed(self.store, open_runs.claim_key(name, champion.run))
            mlflow = open_runs.page(self.settings.tracking, claim) if claim else ""
        entries = tuple(entry for entry in history.entries if entry.kind != "baseline")
        turns = tuple(turns_of(history))
        glance = Glance(
            name=name,
            deployment=deployment,
            champion=champion,
            turns=turns,
            trend=plot([turn.metric for turn in turns if turn.metric], *SMALL),
            headline=next(iter(champion.metrics), "") if champion else "",
            last=entries[-1] if entries else None,
            verdict=None,
            waiting=still_open(events),
            alarm_run=next((event.run for event in reversed(events) if event.verdict), ""),
            mlflow=mlflow,
            faults=tuple(faults),
        )
        return glance, entries, events

    def _verdict(self, key: str) -> Verdict:
        try:
            return Verdict.model_validate_json(self.store.read(key) or b"")
        except ValidationError as error:
            raise DataError(f"{key} in the store is damaged: expected a verdict, found {error.errors()[0]['msg']}") from error


def newest_on(champion: Entry | None, verdicts: Sequence[Verdict]) -> Verdict | None:
    """The last verdict on this champion in the newest of these windows, which are in order."""
    version = champion.version if champion else None
    return next((one for one in reversed(verdicts) if one.window == verdicts[-1].window and one.champion == version), None)


def turns_of(history: History) -> Iterator[Turn]:
    """Who served from when, in order; a version that was restored has two turns."""
    made: dict[int, Entry] = {}
    for move in history.moves:
        assert move.version is not None
        if move.kind == "promotion":
            made[move.version] = move
        if judged := made.get(move.version):
            yield Turn(move.version, judged.candidate, move.at, headline_of(judged))


def headline_of(entry: Entry) -> Estimate | None:
    """The metric that decided, with its interval."""
    found = next(iter(entry.metrics.values()), None)
    return Estimate.model_validate(found) if found else None


@contextmanager
def _told(faults: list[str]) -> Iterator[None]:
    """Turn what is broken here into a sentence for people."""
    try:
        yield
    except (PipelineError, ValidationError, OSError, ValueError, KeyError, TypeError) as error:
        faults.append(scrub(str(error)))


def _stamp_of(definition: Definition) -> tuple[int, int] | None:
    """Changes when deployment.yaml does."""
    try:
        status = (definition.folder / "deployment.yaml").stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
