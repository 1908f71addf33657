"""`pipelines predict`: rows in, answers out, from any version that is or was kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from pipelines.cli.output import emit, streams
from pipelines.cli.projects import Json, Name


def predict(
    project: Name,
    source: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            metavar="PATH|-",
            help="A file (CSV, JSON, JSON lines, parquet, an image, …), a folder, or - for rows of JSON or one file's bytes on stdin.",
        ),
    ],
    version: Annotated[
        str, typer.Option("--version", metavar="VERSION", help="A version's number, or an alias: champion, previous, challenger.")
    ] = "champion",
    explain: Annotated[bool, typer.Option("--explain", help="Say why, row by row, where the project can.")] = False,
    as_json: Json = False,
) -> None:
    """Predict rows with the champion, or with another version.

    Rows are as your systems have them, without labels; the project reads them and makes its features itself. No rows give no
    answers.
    Rows that cannot be predicted are named with their numbers, and nothing is predicted (exit 3).

    [bold]Examples[/]

      pipelines predict churn --input customers.csv
      pipelines predict churn --input customers.csv --explain --version previous
      cat customers.jsonl | pipelines predict churn --input - --json
      pipelines predict fashion --input photos/
      cat shirt.jpg | pipelines predict fashion --input -
    """
    from pipelines.cli.registry import require_models
    from pipelines.tracking.registry import find, load

    require_models(project)
    entry = find(project, version)
    rows = rows_of(source, sys.stdin.buffer)
    served = load(project, version)
    data = served.project.read(rows)
    answers = served.project.answer(served.model, data, served.project.predict(served.model, data))
    if explain:
        reasons = served.project.explain(served.model, data)
        answers = [{**answer, "reasons": why} for answer, why in zip(answers, reasons, strict=True)]
    if as_json:
        emit(
            {"project": project, "version": entry.version, "candidate": entry.candidate, "rows": len(answers), "answers": answers}
        )
    else:
        _show(project, entry, answers)


def rows_of(source: str, stdin: IO[bytes]) -> Any:
    """What the project's `read` is given: rows where the input is JSON, else the path of a file or folder, or stdin's bytes.

    Raises ConfigError for what is no such place, DataError for JSON that cannot be read.
    """
    from pipelines.core.errors import ConfigError

    if source == "-":
        return _of_stdin(stdin.read())
    if not source.strip():
        raise ConfigError("--input is empty; expected a file, a folder, or - to read from stdin")
    path = Path(source)
    if path.is_dir():
        return path
    if not path.is_file():
        raise ConfigError(f"--input {source!r}: there is no such file or folder; use - to read from stdin")
    reader = READERS.get(path.suffix.lower())
    return reader(path) if reader else path


def _of_stdin(content: bytes) -> Any:
    """Rows where it is JSON: one a line, or all in one list. Any other file is for the project to read."""
    import json

    from pipelines.core.errors import DataError

    text = _text(content)
    if text is None:
        return content
    try:
        rows = _json_lines(text, "stdin")
    except DataError:
        try:
            return json.loads(text)
        except ValueError:
            pass
        if text.lstrip()[:1] not in ("{", "["):
            return content
        raise
    in_a_list = len(rows) == 1 and isinstance(rows[0], list) and all(isinstance(row, dict) for row in rows[0])
    return rows[0] if in_a_list else rows


def _text(content: bytes) -> str | None:
    """Bytes as UTF-8 text; None for an image or another binary file."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _json(path: Path) -> Any:
    import json

    from pipelines.core.errors import DataError

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error


def _json_lines(text: str, where: str) -> list[Any]:
    import json

    from pipelines.core.errors import DataError

    rows, wrong = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                wrong.append(f"line {number}: {error}")
    if wrong:
        shown = "\n".join(f"  - {fault}" for fault in wrong[:10])
        raise DataError(f"{where} is not JSON lines (one row a line); {len(wrong)} lines cannot be read:\n{shown}")
    return rows


def _json_lines_file(path: Path) -> list[Any]:
    from pipelines.core.errors import DataError

    try:
        return _json_lines(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not JSON lines: expected UTF-8, {error}; save it as UTF-8") from error


READERS: dict[str, Callable[[Path], Any]] = {
    ".json": _json,
    ".jsonl": _json_lines_file,
}
"""Files whose rows are read here, by ending. All others are left to the project: it knows what they are and what is wrong."""

_SHOWN = 50
"""Rows of a table that people still read."""


def _show(project: str, entry: Any, answers: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    from pipelines.cli.panels import number

    title = f"{project} version {entry.version} ({entry.candidate}): {len(answers):,} rows"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("row", justify="right", style="dim")
    columns = list(dict.fromkeys(key for answer in answers for key in answer))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row, answer in enumerate(answers[:_SHOWN]):
        cells = (answer.get(column) for column in columns)
        table.add_row(str(row), *(_cell(cell, number) for cell in cells))
    console = streams().result
    console.print(table if answers else f"{title}; nothing to predict")
    if len(answers) > _SHOWN:
        console.print(f"and {len(answers) - _SHOWN:,} more; --json prints all", style="dim")


def _cell(value: Any, number: Callable[[float], str]) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(part, number)}" for key, part in value.items())
    return number(value) if isinstance(value, float) else str(value)
