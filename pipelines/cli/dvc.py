"""What DVC needs: `dvc.yaml`, and the command its stages run."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.output import emit, marked, note, streams
from pipelines.cli.projects import Json, Name
from pipelines.cli.run import Profile


def render(
    profile: Profile = "full",
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when the file differs.")] = False,
) -> None:
    """Write dvc.yaml anew from the graph and the projects found.

    [bold]Examples[/]

      pipelines render
      pipelines render --check
    """
    from pipelines.core.discovery import SHIPPED, find_projects
    from pipelines.core.files import write_atomically
    from pipelines.core.settings import ROOT
    from pipelines.runners.dvc import render as rendered

    file = ROOT / "dvc.yaml"
    text = rendered(
        {name: definition for name, definition in find_projects().items() if definition.folder.parent == SHIPPED}, profile
    )
    same = file.is_file() and file.read_text(encoding="utf-8") == text
    if check and not same:
        streams().result.print(
            marked("[red]✗[/] {} differs from the graph; `pipelines render` writes it anew", file), soft_wrap=True
        )
        raise typer.Exit(1)
    if not same:
        write_atomically(file, text.encode())
    streams().result.print(marked("[green]✓[/] {} {}", file, "is as it should be" if same else "written"), soft_wrap=True)


def stage(
    project: Name,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Such as `evaluate` or `train-xgboost`.", show_default=False)],
    profile: Profile = "full",
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", help="Run this node is a part of; shared by one `dvc repro` when left out.", show_default=False),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run it even if nothing has changed.")] = False,
    as_json: Json = False,
) -> None:
    """Execute one node for DVC: read data/PROJECT/*.json of the nodes before it, write its own.

    The stages of dvc.yaml call this; `dvc repro` is what people use.
    """
    from pipelines.cli.live import outcome
    from pipelines.runners.dvc import run_node

    result = run_node(project, node, profile=profile, run_id=run_id, fresh=fresh)
    if as_json:
        emit(result.model_dump(mode="json"))
    else:
        note(marked("{} " + outcome(result), node))
