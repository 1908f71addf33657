"""One subject a project for the whole session: its chain runs once, however many checks look at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.conformance import Subject
from pipelines.core.discovery import Definition, find_projects


@pytest.fixture(scope="session")
def subject_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Subject]:
    subjects: dict[str, Subject] = {}

    def subject(project: str) -> Subject:
        if project not in subjects:
            subjects[project] = Subject(find_projects()[project], tmp_path_factory.mktemp(f"check-{project}"))
        return subjects[project]

    return subject


@pytest.fixture
def broken_toy(toy: Definition) -> Callable[[str, str], Definition]:
    """The toy with a piece of its source replaced: `broken_toy("text", "other text")`."""

    def broken(text: str, other: str) -> Definition:
        module = toy.folder / "__init__.py"
        source = module.read_text()
        assert source.count(text) == 1, f"{text!r} occurs {source.count(text)} times in the toy"
        module.write_text(source.replace(text, other))
        return toy

    return broken


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
