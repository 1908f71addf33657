"""`pipelines run`: the whole chain, or a part of it, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.output import emit, streams
from pipelines.cli.projects import Json, Name

if TYPE_CHECKING:
    from pipelines.core.errors import DataError
    from pipelines.core.execution import Results, Session
    from pipelines.tracking.runs import MlflowTracker

Profile = Annotated[
    str, typer.Option("--profile", metavar="NAME", help="A profile of params.yaml: `full`, or `sample` for a quick look.")
]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DATE", help="Read nothing that arrived later; today when left out.", show_default=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of params.yaml; repeat for more.", show_default=False),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Run every stage, reuse nothing.")]
Monitor = Annotated[bool, typer.Option("--monitor", help="Run the monitoring chain: newest data against champion.")]
Rehearsal = Annotated[
    str,
    typer.Option(
        "--rehearsal",
        metavar="NAME",
        help="Decide in a rehearsal: with a champion, alarms and verdicts of its own.",
        show_default=False,
    ),
]
Stages = Annotated[
    list[str] | None,
    typer.Option("--stage", metavar="STAGE", help="Run only this stage and what it needs; repeat for more.", show_default=False),
]


def run(
    project: Name,
    stage: Stages = None,
    as_of: AsOf = None,
    profile: Profile = "full",
    overrides: Overrides = None,
    fresh: Fresh = False,
    monitor: Monitor = False,
    rehearsal: Rehearsal = "",
    no_track: Annotated[bool, typer.Option("--no-track", help="Leave MLflow out.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for another run of this project instead of refusing.")] = False,
    as_json: Json = False,
) -> None:
    """Run a project's chain in this process, from raw data to champion. Needs no service.

    Stages whose inputs, parameters, code and environment are unchanged are reused. Exits 1 when a gate refused.

    [bold]Examples[/]

      pipelines run churn --profile sample
      pipelines run churn --stage features
      pipelines run churn --as-of 2026-01-31 --set train.trials=5 --set gates.floors.roc_auc=0.8
      pipelines run churn --monitor
    """
    from pipelines.cli import panels, result
    from pipelines.tracking.runs import MlflowTracker

    session = open_session(
        project, as_of, profile, overrides or [], fresh=fresh, rehearsal=rehearsal, graph="monitoring" if monitor else "training"
    )
    tracker = None if no_track else MlflowTracker(session.settings)
    results = carry_out(session, stage or [], tracker, wait=wait)
    acted = not all(node.reused for node in results.values())
    document = result.document(session, results, mlflow_link(session) if tracker and acted else {})
    if as_json:
        emit(document)
    else:
        panels.show(document, streams().result)
    if result.refused(document):
        raise typer.Exit(1)


def open_session(
    project: str,
    as_of: str | None,
    profile: str,
    overrides: Sequence[str],
    *,
    fresh: bool = False,
    rehearsal: str = "",
    graph: str = "training",
) -> Session:
    """A session whose definition is known to be sound. Raises ConfigError with all that is wrong."""
    from pipelines.core.discovery import find_project
    from pipelines.core.execution import Session
    from pipelines.core.lint import refuse_faults
    from pipelines.core.run import Run, parse_as_of

    definition = find_project(project)
    replaced = parse_overrides(overrides)
    run = Run(project=project, as_of=parse_as_of(as_of), profile=profile, overrides=replaced, fresh=fresh, rehearsal=rehearsal)
    session = Session(run, graph)
    refuse_faults(definition, replaced)
    _ = session.params  # an unknown profile is told before anything starts
    return session


def carry_out(session: Session, stages: Sequence[str], tracker: MlflowTracker | None, *, wait: bool) -> Results:
    """Run the stages with progress on stderr, while no other process here runs the same project.

    The tracker's run is closed whatever happens; an error gains notes that say where its evidence lies.
    """
    from pipelines.cli.live import watching
    from pipelines.cli.locks import only_run_of
    from pipelines.core.errors import DataError
    from pipelines.runners import in_process
    from pipelines.tracking import records

    nodes = session.graph.ancestors(stages) if stages else session.graph.nodes
    with only_run_of(session, wait=wait), watching(nodes) as show:
        try:
            results = in_process.run(session, stages, tracker=tracker, show=show, on_result=partial(records.remember, session))
        except BaseException as error:
            if isinstance(error, DataError):
                _point_to_evidence(session, error)
            _close(tracker, session, error)
            raise
        if tracker:
            tracker.finish(session, "FINISHED")
        return results


def mlflow_link(session: Session) -> dict[str, str]:
    """Address of the run's page in MLflow, when it has a run and a server shows it: the configured or the embedded one."""
    from pipelines.stack import state
    from pipelines.tracking.runs import MlflowTracker

    url = MlflowTracker(state.served(session.settings)).url(session)
    return {"mlflow": url} if url else {}


def _close(tracker: MlflowTracker | None, session: Session, error: BaseException) -> None:
    """Close a failed run; that this fails, too, must not hide why the run did."""
    from pipelines.core.errors import PipelineError

    if tracker:
        try:
            tracker.finish(session, "FAILED" if isinstance(error, Exception) else "KILLED")
        except PipelineError as second:
            error.add_note(f"MLflow could not be told that the run ended: {second}")


def _point_to_evidence(session: Session, error: DataError) -> None:
    from pipelines.cli.result import PAGES, exported

    for name, place in exported(session, error.outputs).items():
        error.add_note(f"{PAGES[name]}: {place}")


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """`train.trials=5` as ``{"train.trials": 5}``; values are YAML. Raises ConfigError for what is none.

    >>> parse_overrides(["train.trials=5", "gates.floors={auc: 0.8}"])
    {'train.trials': 5, 'gates.floors': {'auc': 0.8}}
    """
    import yaml

    from pipelines.core.config import parsed
    from pipelines.core.errors import ConfigError

    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key.strip() and equals):
            raise ConfigError(f"--set {pair!r}: expected KEY=VALUE, such as --set train.trials=5")
        try:
            values[key.strip()] = parsed(text)
        except yaml.YAMLError as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"--set {pair!r}: the value is not YAML ({reason}); put quotes around text with : or {{") from None
    return values
