"""`pipelines new`: names, places, and files that are what they say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.discovery import Definition, find_projects
from pipelines.core.errors import ConfigError
from pipelines.core.lint import lint
from pipelines.core.settings import Settings
from pipelines.scaffold import TEMPLATE, create, filled, refuse_name


def test_a_new_project_is_found_and_lint_clean(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "mine"
    monkeypatch.setenv("PIPELINES_PROJECTS", str(place))
    written = create("late_parcels")
    assert written[0] == place / "late_parcels"
    names = {path.name for path in written[1:]}
    assert names == {"__init__.py", "params.yaml", "deployment.yaml", "README.md", "simulator.py"}
    definition = find_projects()["late_parcels"]
    assert [str(fault) for fault in lint(definition)] == []
    assert type(definition.project()).__name__ == "LateParcels"
    assert definition.deployment.title == "Late parcels"


def test_it_goes_where_it_is_told(settings: Settings, tmp_path: Path) -> None:
    assert create("parcels", tmp_path / "there")[0] == tmp_path / "there" / "parcels"


def test_no_placeholder_is_left() -> None:
    for template in TEMPLATE.glob("*.template"):
        text = filled(template.read_text(), "late_parcels")
        for placeholder in ("PROJECT_NAME", "CLASS_NAME", "TITLE", "YOUR_TEAM"):
            assert placeholder not in text, template.name
        if ".py." in template.name:
            ast.parse(text)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Late-Parcels", r"'Late-Parcels' cannot name a project: expected a small letter.*; try 'late_parcels'"),
        ("1st", r"cannot name a project.*; try 'st'"),
        ("../../etc", r"cannot name a project.*; try 'etc'"),
        ("a b; rm -rf ~", "cannot name a project.*; try 'a_b_rm_rf'"),
        ("", "cannot name a project"),
        ("x", "cannot name a project"),
        ("a" * 60, "cannot name a project"),
        ("naïve", "cannot name a project"),
        ("class", r"'class' means something else already \(to Python or to this platform\); try 'my_class'"),
        ("match", "means something else already"),
        ("json", "means something else already"),
        ("champion", "means something else already"),
        ("toy", r"there is a project 'toy' already, in .*toy; choose another name, or edit that one"),
    ],
)
def test_names_that_cannot_be(toy: Definition, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create(name, tmp_path / "there")
    assert not (tmp_path / "there").exists(), "nothing is written for a refused name"


def test_a_folder_that_is_there_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "parcels").mkdir()
    with pytest.raises(ConfigError, match=r"parcels exists already; choose another name, or move it away"):
        create("parcels", tmp_path)
    assert list((tmp_path / "parcels").iterdir()) == []


@given(st.text())
def test_no_name_escapes_its_folder(name: str) -> None:
    try:
        refuse_name(name, Path("/nowhere"))
    except ConfigError:
        return
    assert name.isidentifier()
    assert name == name.lower()
