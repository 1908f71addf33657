"""What was promoted, why, from what; and the way back."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.output import emit, marked, streams
from pipelines.cli.projects import Json, Name

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.core.alarms import Event
    from pipelines.core.ledger import Entry
    from pipelines.core.settings import Settings
    from pipelines.core.store import Store

Version = Annotated[
    str,
    typer.Option("--version", metavar="VERSION", help="A version's number, or an alias: champion, previous, challenger."),
]
Rehearsed = Annotated[
    str,
    typer.Option(
        "--rehearsal",
        metavar="NAME",
        help="Of a rehearsal, such as `backfill`, with the dates of its data; what serves when left out.",
        show_default=False,
    ),
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Your reason; it stays in the history.")]


def history(project: Name, rehearsal: Rehearsed = "", as_json: Json = False) -> None:
    """Show every promotion, rejection and rollback of a project, with who and why.

    [bold]Examples[/]

      pipelines history churn
      pipelines history churn --rehearsal backfill
    """
    from pipelines.core.ledger import Ledger
    from pipelines.tracking import registry

    past = Ledger(_decided(project, rehearsal)).history(project)
    entries = [entry for entry in past.entries if entry.kind != "baseline"]
    if as_json:
        emit([entry.model_dump(mode="json") for entry in entries])
        return
    show_history(project, entries, registry.derived_aliases(past), streams().result, rehearsal)


def show_history(
    project: str, entries: Sequence[Entry], aliases: Mapping[str, int], console: Console, rehearsal: str = ""
) -> None:
    """Two lines an entry, oldest first; an alias stands at the newest entry of the version it names."""
    from rich.text import Text

    style = {"promotion": "green", "rejection": "red", "rollback": "yellow"}
    newest = {entry.version: entry.number for entry in entries}
    for entry in entries:
        names = [alias for alias, version in aliases.items() if version == entry.version and newest[version] == entry.number]
        line = Text.assemble(
            (f"{_when(entry, rehearsal)}  ", "dim"),
            (f"{entry.kind:<10}", f"bold {style[entry.kind]}"),
            f"version {entry.version} ({entry.candidate})" if entry.version is not None else entry.candidate,
            f" in place of version {entry.replaced}" if entry.replaced is not None else "",
            (f"  ← {', '.join(names)}" if names else "", "bold"),
        )
        console.print(line, soft_wrap=True)
        answer = f"; {entry.approval}" if entry.approval and entry.approval.approved else ""
        who = f"; by {entry.by}" if entry.by else ""
        console.print(Text(f"                  {entry.why}{answer}{who}; run {entry.run}", style="dim"), soft_wrap=True)
    if not entries:
        console.print(f"Nothing yet. `pipelines run {project}{_option(rehearsal)}` makes the first champion.")


def alarms(project: Name, rehearsal: Rehearsed = "", as_json: Json = False) -> None:
    """Show every drift alarm of a project and what became of it: which run answered it, or why it started none.

    [bold]Examples[/]

      pipelines alarms churn
      pipelines alarms churn --rehearsal backfill
    """
    from rich.text import Text

    from pipelines.core.alarms import Alarms

    events = Alarms(_decided(project, rehearsal), project).events()
    if as_json:
        emit([event.model_dump(mode="json") for event in events])
        return
    style = {"raised": "bold yellow", "suppressed": "dim", "claimed": "cyan", "answered": "bold green", "released": "bold red"}
    for event in events:
        head = Text.assemble((f"{_when(event, rehearsal)}  ", "dim"), (f"{event.kind:<11}", style[event.kind]))
        streams().result.print(head.append(", ".join(event.alarms)), soft_wrap=True)
        streams().result.print(Text(f"                  {event.why}; run {event.run}", style="dim"), soft_wrap=True)
    if not events:
        command = f"pipelines run {project} --monitor{_option(rehearsal)}"
        streams().result.print(f"No alarm yet. `{command}` compares the newest window with the champion.")


def _decided(project: str, rehearsal: str) -> Store:
    """The store with what was decided about a project, in a rehearsal where one is named. Raises ConfigError for an unknown one."""
    from pipelines.core.discovery import find_project
    from pipelines.core.errors import ConfigError, did_you_mean
    from pipelines.core.execution import Session
    from pipelines.core.run import Run

    store = Session(Run(project=find_project(project).name)).store
    if rehearsal and rehearsal not in (held := store.rehearsals()):
        raise ConfigError(f"there is no rehearsal {rehearsal!r}; {did_you_mean(rehearsal, held)}")
    return store.rehearsing(rehearsal) if rehearsal else store


def _when(decided: Entry | Event, rehearsal: str) -> str:
    """When something was decided; in a rehearsal, in the time of its data."""
    return f"{(decided.as_of if rehearsal else None) or decided.at:%Y-%m-%d %H:%M}"


def _option(rehearsal: str) -> str:
    return f" --rehearsal {rehearsal}" if rehearsal else ""


def promote(
    project: Name,
    version: Version = "challenger",
    why: Why = "by hand",
    as_json: Json = False,
) -> None:
    """Promote a version that the gate refused: a person overrules it, and the history says so.

    Runs promote what passes the gate themselves. The version gets its reference for drift checks, too, which takes as long as the
    stage `baseline`; it serves before. To return to an earlier champion, use `rollback`.

    [bold]Examples[/]

      pipelines promote churn --version 7 --why "the floor was set for the old data"
    """
    from pipelines.tracking.overrule import overrule

    with streams().aside.status(f"promoting a version of {project}, and freezing its reference for drift checks"):
        entry = overrule(_settings(), project, version, why, _person(), tell=_warn)
    _tell(project, entry, as_json)


def rollback(
    project: Name,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="VERSION", help="Any former champion; the one before when left out.", show_default=False),
    ] = None,
    why: Why = "by hand",
    as_json: Json = False,
) -> None:
    """Restore an earlier champion, at once. The one that leaves is not promoted again by a run.

    [bold]Examples[/]

      pipelines rollback churn --why "complaints about offers since Monday"
      pipelines rollback churn --to 3
    """
    from pipelines.tracking import registry

    _tell(project, registry.rollback(_settings(), project, to, why, by=_person(), tell=_warn), as_json)


def _settings() -> Settings:
    """MLflow is asked by the running stack's server: quicker than to open its database, and SQLite keeps one writer."""
    from pipelines.core.errors import InfrastructureError
    from pipelines.core.settings import Settings
    from pipelines.stack import state
    from pipelines.tracking.client import ping

    settings = Settings.load()
    served = state.served(settings)
    try:
        ping(served.tracking)
    except InfrastructureError:  # a server that starts, stops or hangs keeps nobody from going back
        return settings
    return served


def _person() -> str:
    """Who gives the command, for the history; an account without a name is a person all the same."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "a person"
    return f"{name}, on the command line"


def _warn(sentence: str) -> None:
    """What a person should know of a command that has done what it was asked for."""
    from rich.text import Text

    from pipelines.core.scrub import scrub

    streams().aside.print(Text(f"! {scrub(sentence)}", style="yellow"), soft_wrap=True)


def _tell(project: str, entry: Any, as_json: bool) -> None:
    from pipelines import metrics
    from pipelines.core.execution import Session
    from pipelines.core.run import Run

    metrics.tell_project(Session(Run(project=project)).store, project)
    if as_json:
        emit(entry.model_dump(mode="json"))
    else:
        instead = f" in place of version {entry.replaced}" if entry.replaced is not None else ""
        champion = f"version {entry.version} ({entry.candidate}) is the champion of {project}{instead}"
        streams().result.print(marked("[green]✓[/] {}: {}", entry.kind, champion))


def lineage(project: Name, version: Version = "champion", as_json: Json = False) -> None:
    """Show where a model came from: commit, data, parameters, seed, lock, stages, decision.

    [bold]Examples[/]

      pipelines lineage churn
      pipelines lineage churn --version previous --json
    """
    from pipelines.tracking.lineage import lineage as traced

    require_models(project)
    document = traced(project, version)
    if as_json:
        emit(document)
    else:
        show_lineage(document, streams().result)


def reproduce(
    project: Name,
    version: Version = "champion",
    tolerance: Annotated[
        float, typer.Option("--tolerance", metavar="SHARE", help="Relative difference of a number that still counts as the same.")
    ] = 1e-6,
    as_json: Json = False,
) -> None:
    """Build a version again from its lineage, every stage afresh, and compare what comes out. Exits 1 when it differs.

    The store and the registry are not touched.

    [bold]Examples[/]

      pipelines reproduce churn
      pipelines reproduce churn --version 3
    """
    from pipelines.tracking.lineage import reproduce as rebuilt

    require_models(project)
    console = streams().aside if as_json else streams().result
    style = {"identical": "green", "within tolerance": "yellow", "different": "bold red"}

    def told(node: str, verdict: str) -> None:
        console.print(marked(f"{{:<24}} [{style.get(verdict, 'dim')}]{{}}[/]", node, verdict))

    with streams().aside.status(f"building {project} again, every stage afresh"):
        document = rebuilt(project, version, tolerance=tolerance, show=told)
    if as_json:
        emit(document)
    else:
        for warning in document["warnings"]:
            console.print(marked("[yellow]note:[/] {}", warning), soft_wrap=True)
        for stage in document["stages"]:
            for name, output in stage["outputs"].items():
                if output["verdict"] == "different":
                    what = marked("[red]{}: {} differs[/] {}", stage["node"], name, output["note"])
                    console.print(what, soft_wrap=True)
        verdict = document["verdict"]
        told_so = f"{project} version {document['version']}, built again"
        console.print(marked(f"[bold {style.get(verdict, 'dim')}]{{}}[/]: {{}}", verdict, told_so))
    if document["verdict"] == "different":
        raise typer.Exit(1)


def require_models(project: str) -> None:
    """Raises ConfigError when nothing was ever registered for a project, saying how to change that."""
    from pipelines.core.errors import ConfigError
    from pipelines.tracking.registry import history as past

    if not past(project).entries:
        raise ConfigError(f"{project} has no model yet; `pipelines run {project}` trains, judges and registers one")


def show_lineage(document: dict[str, Any], console: Console) -> None:
    """The tale of one version, the long lists of it shortened; --json has all."""
    from rich.table import Table

    code, found, environment = document["code"], document["data"], document["environment"]
    aliases = f" ({', '.join(document['aliases'])})" if document["aliases"] else ""
    files = found.get("files") or {}
    rows = {
        "version": marked("[bold]{}[/]{}: {}", document["version"], aliases, document["candidate"]),
        "model": f"sha256 {document['model']}",
        "promoted": f"{(document['promoted'] or 'never')[:16].replace('T', ' ')}",
        "decision": document["reason"],
        "run": f"{document['run']} ({document['runner']}, started by: {document['why']})",
        "asked": f"profile {document['profile']}, as of {str(document['as_of'])[:10]}, seed {document['seed']}, "
        f"overrides {document['overrides'] or 'none'}",
        "code": _commit(code),
        **({"project's code": _commit(code, "project.")} if "project.commit" in code else {}),
        "data": "\n".join(
            [f"{found.get('dataset')} from {found.get('source')}: {found.get('origin')}"]
            + [f"{name}  sha256 {digest}" for name, digest in files.items()]
        ),
        "environment": f"Python {environment['python']}, lock sha256 {environment['lock_sha256']}",
        "parameters": f"sha256 {document['params_sha256']}",
        "stages": "\n".join(f"{stage['node']:<24} {stage['fingerprint'][:16]}…" for stage in document["stages"]),
        "replaced": f"version {document['replaced']}" if document["replaced"] is not None else "nothing",
        "replaced by": f"version {document['replaced_by']}" if document["replaced_by"] is not None else "nothing",
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, text in rows.items():
        grid.add_row(name, text)
    console.print(grid)
    for warning in document["warnings"]:
        console.print(marked("[yellow]note:[/] {}", warning), soft_wrap=True)


def _commit(code: dict[str, str], prefix: str = "") -> str:
    changed = ", with uncommitted changes" if code.get(f"{prefix}dirty") == "true" else ""
    return f"commit {code.get(f'{prefix}commit') or 'none'}{changed}"
