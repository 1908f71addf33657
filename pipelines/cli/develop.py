"""Making projects: a new one from the scaffold, and the conformance suite on one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.output import emit, marked, streams
from pipelines.cli.projects import Json, Name

_SIGNS = {
    "passed": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "skipped": "[dim]–[/]",
    "expected failure": "[yellow]✓[/]",
    "unexpected pass": "[red]✗[/]",
}


def check(
    project: Name,
    runner: Annotated[
        list[str] | None,
        typer.Option(
            "--runner", metavar="RUNNER", help="in_process (default), dvc or airflow; repeat for more.", show_default=False
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this check; repeat for more.", show_default=False)
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", metavar="NAME", help="A small one: checks fit models many times.")
    ] = "sample",
    as_json: Json = False,
) -> None:
    """Hold a project to the contract: every promise, by name, on its own data and models.

    Works in a temporary installation; the project's store and registry are not touched. Exits 1 when a check fails.

    [bold]Examples[/]

      pipelines check churn
      pipelines check churn --only fitting_is_deterministic
      pipelines check churn --runner in_process --runner dvc
    """
    from pipelines.conformance import Outcome, check_project
    from pipelines.core.discovery import find_project

    def told(outcome: Outcome) -> None:
        console = streams().aside if as_json else streams().result
        reason = f"  {outcome.message}" if outcome.ok and outcome.message else ""
        line = marked(_SIGNS[outcome.state] + " {} [dim]{} s{}[/]", outcome.name, f"{outcome.seconds:.1f}", reason)
        console.print(line, soft_wrap=True)
        if not outcome.ok:
            console.print(f"    {outcome.message}", soft_wrap=True, style="red")

    runners = tuple(runner or ("in_process",))
    report = check_project(find_project(project), runners, only=only or (), profile=profile, on_outcome=told)
    if as_json:
        emit(report.model_dump(mode="json"))
    else:
        verdict = (
            f"[red]{len(report.failed)} of {len(report.outcomes)} checks failed" if report.failed else "[green]all checks passed"
        )
        streams().result.print(marked(verdict + "[/]: {}", project))
    if not report.ok:
        raise typer.Exit(1)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and underscores.", show_default=False)],
    place: Annotated[
        Path | None,
        typer.Option(
            "--in", metavar="FOLDER", help="Folder for it; PIPELINES_PROJECTS or this checkout when left out.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a new project that works at once: code, parameters, README, DAG file.

    [bold]Examples[/]

      pipelines new lapses
      pipelines new lapses --in ~/projects
    """
    from pipelines.scaffold import create

    folder, *files = create(name, place)
    if as_json:
        emit({"project": name, "folder": str(folder), "files": [str(file) for file in files]})
        return
    console = streams().result
    console.print(marked("[green]✓[/] project [bold]{}[/] in {}", name, folder), soft_wrap=True)
    for file in files:
        console.print(f"    {file}", soft_wrap=True, style="dim")
    if place:
        console.print(f"\nLet it be found: export PIPELINES_PROJECTS={folder.parent}", soft_wrap=True)
    console.print(f"\nNext: pipelines run {name} --profile sample\n      pipelines check {name}\n      docs/your-own-project.md")
