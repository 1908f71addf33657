"""docs/cli.md names every command and every key scripts may rely on; every command that any page shows exists as written."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shlex
from typing import Any

import pytest

from pipelines.core.discovery import Definition
from pipelines.core.settings import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def lines() -> dict[str, Any]:
    """Every command by its words."""
    import typer

    from pipelines.cli.app import app

    tree: Any = typer.main.get_command(app)
    found: dict[str, Any] = {}
    for name, command in tree.commands.items():
        below = getattr(command, "commands", None)
        found |= {f"{name} {word}": one for word, one in below.items()} if below else {name: command}
    return found


def test_every_command_with_json_is_documented() -> None:
    takes_json = {name for name, command in lines().items() if any("--json" in option.opts for option in command.params)}
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


PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "pipelines").rglob("*.md")),
    *sorted((ROOT / "pipelines").rglob("*.md.template")),
]
COMMAND = re.compile(
    r"^ *(?P<program>(?:\.venv/bin/)?pipelines|make|(?:\.venv/bin/)?python -m) +(?P<words>[a-z].*?)(?: +#.*| *\|.*| +[a-z]\S*: .*)?$",
    re.MULTILINE,
)


def shown() -> list[Any]:
    """Each command line of the pages, in a block or `like this`, and in the help of the commands."""
    texts = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
    blocks = {where: re.findall(r"^```.*?\n(.*?)^```|^((?:    .*\n)+)", text, re.M | re.S) for where, text in texts.items()}
    spans = {
        where: re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
        for where, text in texts.items()
    }
    places = {where: "\n".join([*("".join(block) for block in blocks[where]), *spans[where]]) for where in texts}
    places |= {f"pipelines {name} --help": inspect.getdoc(command.callback) or "" for name, command in lines().items()}
    return [
        pytest.param(found["program"].removeprefix(".venv/bin/"), found["words"], id=f"{where}: {found[0].strip()}")
        for where, text in places.items()
        for found in COMMAND.finditer(text)
    ]


@pytest.mark.parametrize(("program", "words"), shown())
def test_a_command_that_is_shown_exists(program: str, words: str) -> None:
    given = shlex.split(words)
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert given[0] in targets
    elif program.endswith("-m"):
        assert importlib.util.find_spec(given[0].replace("NAME", "churn"))
    else:
        known = lines()
        name = next((name for name in (" ".join(given[:2]), given[0]) if name in known), None)
        assert name, f"there is no such command; known: {sorted(known)}"
        arguments = given[len(name.split()) :]
        if arguments:
            known[name].make_context(name, arguments)


def test_checks_that_the_pages_name_exist() -> None:
    from pipelines.conformance import CHECKS

    texts = [page.read_text(encoding="utf-8") for page in PAGES] + [inspect.getdoc(c.callback) or "" for c in lines().values()]
    named = {check for text in texts for check in re.findall(r"(?<!bench )--only[= ]([a-z_]+)", text)}
    assert named
    assert named <= set(CHECKS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_links_to_exist(page: Any) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
