"""docs/cli.md says what scripts may rely on; it must name every command and every key."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.core.discovery import Definition
from pipelines.core.settings import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def test_every_command_with_json_is_documented() -> None:
    import typer

    from pipelines.cli.app import app

    tree = typer.main.get_command(app)
    groups = {name: command for name, command in tree.commands.items() if hasattr(command, "commands")}  # type: ignore[attr-defined]
    lines = {name: command for name, command in tree.commands.items() if name not in groups}  # type: ignore[attr-defined]
    lines |= {f"{group} {name}": command for group, found in groups.items() for name, command in found.commands.items()}
    takes_json = {name for name, command in lines.items() if any("--json" in option.opts for option in command.params)}
    assert takes_json >= {"run", "list", "stack run", "data status"}
    missing = [name for name in sorted(takes_json) if f"`{name}" not in PAGE and f"`pipelines {name}" not in PAGE]
    assert missing == []


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 70])
def test_every_exit_code_is_documented(code: int) -> None:
    assert f"| {code} |" in PAGE


def test_every_key_of_a_run_is_documented(cli: Any, toy: Definition) -> None:
    document = cli("run", "toy", "--profile", "sample", "--no-track", "--stage", "evaluate", "--json").json
    assert [key for key in document if f"`{key}`" not in PAGE] == []
    nested = [*document["stages"][0], *document["data"], *document["leaderboard"], *document["decision"], *document["validation"]]
    assert [key for key in nested if key not in PAGE] == []
