"""docs/your-own-project.md, followed to the letter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines.core.settings import ROOT, Settings

PAGE = ROOT / "docs" / "your-own-project.md"


class Step(NamedTuple):
    language: str
    text: str


def steps() -> list[Step]:
    return [Step(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)]


def edit(text: str, folder: Path) -> None:
    """Replace the lines marked '-' of the file named in the first line by those marked '+'."""
    head, *lines = text.splitlines()
    path = folder / head.removeprefix("--- ")
    old = "\n".join(line[1:] for line in lines if line.startswith("-"))
    new = "\n".join(line[1:] for line in lines if line.startswith("+"))
    source = path.read_text()
    assert source.count(old) == 1, f"{path} holds {source.count(old)} times:\n{old}"
    path.write_text(source.replace(old, new))


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_page_can_be_followed(settings: Settings, tmp_path: Path) -> None:
    home = tmp_path / "user"
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    exported = ""
    for step in steps():
        if step.language == "diff":
            edit(step.text, home / "projects")
            continue
        assert step.language == "bash", step
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", exported + step.text],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert done.returncode == 0, f"{step.text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        exported += "".join(f"{line}\n" for line in step.text.splitlines() if line.startswith("export "))
        if "broken.csv ||" in step.text:
            assert "drizzle" in done.stdout + done.stderr
        if "predict" in step.text:
            assert re.search(r"0\.\d", done.stdout), done.stdout


def test_the_page_has_commands_and_edits() -> None:
    assert {step.language for step in steps()} == {"bash", "diff"}
    assert len(steps()) >= 10
