"""`pipelines data`: raw data sets and their versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli.output import emit, marked, streams
from pipelines.cli.projects import Json, Name
from pipelines.cli.run import Overrides, Profile

app = typer.Typer(help="Raw data: fetch them, see which versions there are, restore one.", no_args_is_help=True)


@app.command()
def fetch(project: Name, profile: Profile = "full", overrides: Overrides = None, as_json: Json = False) -> None:
    """Fetch a project's raw data, check their hashes and version them, without running anything.

    The first source that answers is used: public URL, mirror, package, simulator.

    [bold]Examples[/]

      pipelines data fetch churn
      pipelines data fetch churn --set ingest.source=package
    """
    from pipelines.cli.panels import data as data_part
    from pipelines.cli.run import carry_out, open_session

    session = open_session(project, None, profile, overrides or [])
    results = carry_out(session, ["ingest"], None, wait=True)
    snapshot = session.read(results["ingest"].outputs["snapshot"])
    if as_json:
        emit(snapshot)
        return
    for _, content in data_part({"data": snapshot}):
        streams().result.print(content)
    streams().result.print(f"version {_version(snapshot['pointer'])}; `pipelines data restore {project}` brings it back")


@app.command()
def status(
    project: Annotated[
        str | None, typer.Argument(metavar="[PROJECT]", help="All projects when left out.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the versions of the raw data, and which of them runs of the champion used."""
    rows = _versions(project)
    if as_json:
        emit(rows)
        return
    from rich.table import Table

    table = Table(title="Raw data by version", title_justify="left", title_style="bold")
    for column, justify in (
        ("project", "left"),
        ("version", "left"),
        ("files", "right"),
        ("MB", "right"),
        ("here", "left"),
        ("used by", "left"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left")
    for row in rows:
        here = marked("[green]yes[/]" if row["cached"] else "[yellow]remote only[/]")
        used = ", ".join(f"version {number}" for number in row["used_by"]) or marked("[dim]–[/]")
        table.add_row(row["project"], row["version"], str(row["nfiles"]), f"{row['size'] / 1e6:.2f}", here, used)
    streams().result.print(table if rows else "No raw data yet. `pipelines data fetch PROJECT` gets them.")


@app.command()
def restore(
    project: Name,
    version: Annotated[
        str | None,
        typer.Option(
            "--version", metavar="VERSION", help="From `data status`; the champion's when left out.", show_default=False
        ),
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="Where to write the files.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a version of the raw data into a folder, from the cache or the remote, its content verified.

    [bold]Examples[/]

      pipelines data restore churn
      pipelines data restore churn --version 4f0c2a --into /tmp/churn
    """
    from pipelines.core.errors import ConfigError, did_you_mean
    from pipelines.core.settings import Settings
    from pipelines.data.snapshots import Snapshots

    settings, rows = Settings.load(), _versions(project)
    wanted = [row for row in rows if (row["version"].startswith(version) if version else row["serves"])]
    if len(wanted) != 1:
        known = did_you_mean(version or "", [row["version"] for row in rows])
        what = (
            f"{len(wanted)} versions of its raw data begin with {version!r}"
            if version
            else "it has no champion whose data are known"
        )
        raise ConfigError(f"{project}: {what}; name one with --version; {known}")
    target = into or settings.data / "restored" / project / wanted[0]["version"]
    Snapshots(settings).restore(project, wanted[0], target)
    if as_json:
        emit({"project": project, "version": wanted[0]["version"], "folder": str(target.absolute())})
    else:
        streams().result.print(marked("[green]✓[/] version {} is in {}", wanted[0]["version"], target.absolute()), soft_wrap=True)


def _versions(project: str | None) -> list[dict[str, Any]]:
    """Every snapshot, with the model versions that were made from it and whether one of them serves."""
    from pipelines.core.discovery import find_project
    from pipelines.core.ledger import Ledger
    from pipelines.core.settings import Settings
    from pipelines.core.store import Store
    from pipelines.data.snapshots import Snapshots

    if project:
        find_project(project)
    settings = Settings.load()
    store = Store.open(settings.store, settings.home / "cache" / "store")
    rows = [row for row in Snapshots(settings).status() if project in (None, row["project"])]
    for row in rows:
        row["version"], row["used_by"], row["serves"] = _version(row), [], False
        history = Ledger(store).history(row["project"])
        for entry in history.entries:
            ref = entry.artifacts.get("snapshot")
            if entry.kind == "promotion" and ref and _pointer(store, ref) == row["path"]:
                row["used_by"].append(entry.version)
                row["serves"] |= bool(history.champion and history.champion.version == entry.version)
    return rows


def _pointer(store: Any, ref: Any) -> str | None:
    import json

    snapshot = json.loads(store.fetch(ref).read_text(encoding="utf-8"))
    pointer: str | None = (snapshot.get("pointer") or {}).get("path")
    return pointer


def _version(pointer: dict[str, Any]) -> str:
    return Path(pointer["path"]).stem
