"""Projects: which there are, and whether their definitions are sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.output import emit, marked, streams

if TYPE_CHECKING:
    from pipelines.core.discovery import Definition
    from pipelines.page.reading import Glance

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; keys in docs/cli.md.")]
Name = Annotated[
    str, typer.Argument(metavar="PROJECT", help="Name of a project; `pipelines list` shows them.", show_default=False)
]


def list_projects(as_json: Json = False) -> None:
    """Show the projects, their candidates, schedules and champions.

    A project whose files are wrong is listed with its fault and harms no other.
    """
    from pipelines.core.discovery import find_projects
    from pipelines.core.settings import Settings
    from pipelines.page.reading import Reader

    found = find_projects()
    rows = [_described(found[glance.name], glance) for glance in Reader(Settings.load()).glances()]
    if as_json:
        emit(rows)
        return
    from rich.table import Table

    table = Table(title="Projects", title_justify="left", title_style="bold")
    for column in ("project", "what it predicts", "candidates", "schedule (UTC)", "champion"):
        table.add_column(column, overflow="fold")
    for row in rows:
        if row["fault"]:
            fault = marked("[red]{}[/]\n`pipelines lint {}` lists all", row["fault"].splitlines()[0], row["project"])
            table.add_row(row["project"], fault, "", "", "")
            continue
        champion = row["champion"]
        table.add_row(
            marked("[bold]{}[/]", row["project"]),
            row["title"],
            ", ".join(row["candidates"]),
            row["schedule"] or "by hand",
            f"version {champion['version']} ({champion['candidate']})" if champion else marked("[dim]none yet[/]"),
        )
    streams().result.print(table if rows else "No projects yet. `pipelines new NAME` makes one.")


def _described(definition: Definition, glance: Glance) -> dict[str, Any]:
    """What a project declares, and who serves."""
    from pipelines.core.errors import ConfigError

    row: dict[str, Any] = {
        "project": definition.name,
        "folder": str(definition.folder),
        "fault": "\n".join(glance.faults) or None,
    }
    if glance.deployment is None:
        return row
    try:
        row |= {"profiles": definition.profiles, "candidates": definition.candidates}
    except ConfigError as error:
        return {**row, "fault": str(error)}
    champion, deployment = glance.champion, glance.deployment
    return row | {
        "title": deployment.title,
        "system": deployment.system,
        "owner": deployment.owner,
        "schedule": deployment.schedule,
        "monitoring": deployment.monitoring,
        "champion": champion
        and {"version": champion.version, "candidate": champion.candidate, "since": glance.turns[-1].since.isoformat()},
    }


def lint(
    project: Annotated[
        str | None, typer.Argument(metavar="[PROJECT]", help="All projects when left out.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check project definitions without running them: all faults at once, with file and line.

    `run` does the same before it starts.
    """
    from pipelines.core.discovery import find_project, find_projects
    from pipelines.core.lint import lint as faults_in

    definitions = [find_project(project)] if project else list(find_projects().values())
    found = {definition.name: faults_in(definition) for definition in definitions}
    if as_json:
        emit(
            {
                name: [{"file": str(fault.file), "line": fault.line, "what": fault.what} for fault in faults]
                for name, faults in found.items()
            }
        )
    else:
        for name, faults in found.items():
            streams().result.print(marked("[red]✗ {}[/]" if faults else "[green]✓[/] {}", name))
            for fault in faults:
                streams().result.print(f"  {fault}", soft_wrap=True)
    if any(found.values()):
        raise typer.Exit(1)
