"""Projects are found by their folder and imported only on demand."""

from __future__ import annotations

import sys

import pytest

from pipelines.core.discovery import Definition, find_project, find_projects
from pipelines.core.errors import ConfigError


def test_a_project_outside_the_package_is_found_and_imported(toy: Definition) -> None:
    found = find_projects()["toy"]
    assert found.candidates == ["linear", "centroid"]
    assert "pipelines.projects.toy" not in sys.modules, "finding must not import"
    assert found.project().name == "toy"
    assert found.profiles == ["full", "sample"]


def test_an_unknown_project_is_refused_with_a_suggestion(toy: Definition) -> None:
    with pytest.raises(ConfigError, match=r"there is no project 'toyy'; did you mean 'toy'"):
        find_project("toyy")


def test_a_folder_without_params_is_no_project(toy: Definition) -> None:
    (toy.folder.parent / "notes").mkdir()
    assert "notes" not in find_projects()


def test_a_project_must_name_its_class(toy: Definition) -> None:
    (toy.folder / "__init__.py").write_text("PROJECT = 3\n")
    find_projects()
    with pytest.raises(ConfigError, match=r"must set PROJECT to its Project class; found 3"):
        toy.project()
