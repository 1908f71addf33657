"""The conformance suite: named checks that every project must pass, whatever its kind of data.

A check is a function of a `Subject` that raises when the project breaks a promise of the contract. Its name is the function's,
its first docstring line says what it holds a project to.
"""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipelines.conformance.engines import RUNNERS
from pipelines.conformance.subject import NotApplicable, Subject
from pipelines.core.discovery import Definition, find_project
from pipelines.core.errors import ConfigError, GateRefused, PipelineError, did_you_mean
from pipelines.core.files import scratch


@dataclass(frozen=True)
class Check:
    """One promise of the contract."""

    name: str
    doc: str
    body: Callable[..., None]
    each_runner: bool
    """Whether it is asked of every runner (the body takes the runner's name) or of the project alone."""


CHECKS: dict[str, Check] = {}
"""All checks by name, in the order in which they run: cheap ones first."""


def check(body: Callable[..., None]) -> Callable[..., None]:
    """Register a check. A body with a second parameter is asked of every runner."""
    doc = (inspect.getdoc(body) or "").partition("\n\n")[0].replace("\n", " ")
    CHECKS[body.__name__] = Check(body.__name__, doc, body, len(inspect.signature(body).parameters) == 2)
    return body


class Outcome(BaseModel):
    """What came of one check."""

    model_config = ConfigDict(frozen=True)

    check: str
    runner: str | None
    """None when the check does not depend on it."""
    state: Literal["passed", "failed", "skipped", "expected failure", "unexpected pass"]
    message: str
    """What was found; the reason for a skipped or expected one."""
    seconds: float

    @property
    def ok(self) -> bool:
        return self.state not in ("failed", "unexpected pass")

    @property
    def name(self) -> str:
        return f"{self.check}[{self.runner}]" if self.runner else self.check


class Report(BaseModel):
    """All outcomes of one project."""

    project: str
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if not outcome.ok)

    @property
    def ok(self) -> bool:
        return not self.failed

    def raise_for_failures(self) -> None:
        """Raise GateRefused that lists every failure."""
        if self.failed:
            lines = "\n".join(f"  - {outcome.name}: {outcome.message}" for outcome in self.failed)
            raise GateRefused(f"{self.project} fails {len(self.failed)} of {len(self.outcomes)} conformance checks\n{lines}")


def cases(runners: Sequence[str] = ("in_process",), only: Iterable[str] = ()) -> list[tuple[Check, str | None]]:
    """The checks to make, with the runner where one is needed. Raises ConfigError for an unknown check or runner."""
    for runner in runners:
        if runner not in RUNNERS:
            raise ConfigError(f"there is no runner {runner!r}; {did_you_mean(runner, RUNNERS)}")
    wanted = list(only)
    for name in wanted:
        if name not in CHECKS:
            raise ConfigError(f"there is no check {name!r}; {did_you_mean(name, CHECKS)}")
    chosen = [one for one in CHECKS.values() if not wanted or one.name in wanted]
    return [(one, runner) for one in chosen for runner in (runners if one.each_runner else (None,))]


def run_check(subject: Subject, check: Check, runner: str | None = None) -> Outcome:
    """Make one check. Whatever the project raises is a failure of the check; a failure the project expects is told apart."""
    started = time.perf_counter()
    reason = subject.expected_failures.get(check.name)
    try:
        check.body(*((subject,) if runner is None else (subject, runner)))
        state, message = "passed", ""
    except NotApplicable as why:
        state, message = "skipped", str(why)
    except Exception as error:
        own = isinstance(error, (AssertionError, PipelineError))
        state, message = "failed", str(error) if own else f"{type(error).__name__}: {error}"
    if reason is not None:
        state, message = {
            "passed": ("unexpected pass", f"declared to fail ({reason}) and passes; take it out of expected_failures"),
            "failed": ("expected failure", reason),
        }.get(state, (state, message))
    return Outcome.model_validate(
        {"check": check.name, "runner": runner, "state": state, "message": message, "seconds": time.perf_counter() - started}
    )


def check_project(
    project: Definition | str,
    runners: Sequence[str] = ("in_process",),
    *,
    only: Iterable[str] = (),
    profile: str = "sample",
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Hold a project to the contract.

    Everything happens in a temporary installation; the project's own store, registry and data are not touched.

    Parameters
    ----------
    project
        A definition (`find_project`), or a project's name.
    runners
        Engines to run the chain in: `in_process` (seconds), `dvc`, `airflow` (about a minute each).
    only
        Names of checks, all by default.
    profile
        Profile of params.yaml to use; checks fit models many times, so a small one.
    on_outcome
        Told of each outcome as it comes, for progress.
    """
    if not __debug__:
        raise ConfigError("python -O strips the assertions that the checks are made of; run without -O")
    definition = find_project(project) if isinstance(project, str) else project
    if profile not in definition.profiles:
        raise ConfigError(
            f"{definition.params_file}: there is no profile {profile!r}; {did_you_mean(profile, definition.profiles)}"
        )
    chosen = cases(runners, only)

    def outcomes(subject: Subject) -> Iterator[Outcome]:
        for one, runner in chosen:
            outcome = run_check(subject, one, runner)
            on_outcome(outcome)
            yield outcome

    with tempfile.TemporaryDirectory(prefix="check-", dir=scratch(), ignore_cleanup_errors=True) as folder:
        return Report(project=definition.name, outcomes=tuple(outcomes(Subject(definition, Path(folder), profile))))
