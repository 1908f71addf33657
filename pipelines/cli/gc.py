"""`pipelines gc`: retention."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipelines.cli.output import emit, streams
from pipelines.cli.projects import Json


def gc(
    apply: Annotated[bool, typer.Option("--apply", help="Remove it. Without this, nothing is touched.")] = False,
    as_json: Json = False,
) -> None:
    """Show what old runs have left that nothing needs any more, and with --apply remove it.

    Never touched: what an alias, the history, a retained run or an open one refers to. How much is retained says
    `retention` in a project's deployment.yaml.

    [bold]Examples[/]

      pipelines gc
      pipelines gc --apply
    """
    from pipelines.core.settings import Settings
    from pipelines.retention import report, survey

    document = report(survey(Settings.load()), apply=apply)
    if as_json:
        emit(document)
        return
    _show(document)


def _show(document: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(title="Removed" if document["applied"] else "May go", title_justify="left", title_style="bold")
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_column("bytes", justify="right")
    for place in document["places"]:
        table.add_row(place["what"], f"{place['count']:,}", f"{place['bytes']:,}")
    table.add_section()
    table.add_row("in all", f"{document['count']:,}", f"{document['bytes']:,}", style="bold")
    streams().result.print(table)
    if not document["applied"] and document["count"]:
        streams().result.print("Nothing was touched. `pipelines gc --apply` removes it; --json names each piece.")
