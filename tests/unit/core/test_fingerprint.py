"""What changes a fingerprint, and what does not."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.core import fingerprint as module
from pipelines.core.config import Params
from pipelines.core.discovery import Definition, find_projects
from pipelines.core.errors import ConfigError
from pipelines.core.execution import Session
from pipelines.core.fingerprint import CodeIndex, environment, fingerprint, relevant_params
from pipelines.core.graph import training

TOY = "pipelines.projects.toy"


@pytest.fixture
def index(toy: Definition, tmp_path: Path) -> CodeIndex:
    return CodeIndex(tmp_path / "code.json", [toy.folder.parent])


def test_each_thing_it_depends_on_changes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = training(["linear"]).node("evaluate")
    same = {"inputs": {"a": "1"}, "params": {"p": 1}, "looks_at": {"incumbent": None}, "code": "c"}
    first = fingerprint(node, **same)  # type: ignore[arg-type]
    assert fingerprint(node, **same) == first  # type: ignore[arg-type]
    changes = {"inputs": {"a": "2"}, "params": {"p": 2}, "looks_at": {"incumbent": 1}, "code": "d"}
    others = {fingerprint(node, **{**same, key: value}) for key, value in changes.items()}  # type: ignore[arg-type]
    assert len(others | {first}) == 5
    assert fingerprint(training(["linear"]).node("promote"), **same) != first  # type: ignore[arg-type]

    lock = tmp_path / "lock"
    lock.write_text("numpy==1")
    monkeypatch.setattr(module, "LOCK", lock)
    environment.cache_clear()
    locked = fingerprint(node, **same)  # type: ignore[arg-type]
    lock.write_text("numpy==2")
    environment.cache_clear()
    assert len({first, locked, fingerprint(node, **same)}) == 3  # type: ignore[arg-type]
    environment.cache_clear()


def test_a_candidate_depends_on_its_own_parameters_only(toy_session: Callable[..., Session]) -> None:
    def relevant(name: str, params: Params) -> dict[str, object]:
        return relevant_params(toy_session().graph.node(name), params)

    one, other = toy_session().params, toy_session(overrides={"train.candidates.linear.ridge": 2.0}).params
    assert relevant("train-linear", one) != relevant("train-linear", other)
    assert relevant("train-centroid", one) == relevant("train-centroid", other)
    gates = toy_session(overrides={"gates.rows": 3}).params
    assert relevant("evaluate", one) != relevant("evaluate", gates)
    for name in ("ingest", "validate", "features", "train-linear", "baseline"):
        assert relevant(name, one) == relevant(name, gates), name


COUNTS = [
    "__init__.py", "_private.py", "rules.sql", "prompt.txt", "prompts/system.md", "vocabulary/de/words.csv", "deep/down/labels.json",
    "limits.toml", "words.yaml", "prompts/README.md", "data/docs/tests.txt", "without_ending",
]  # fmt: skip
COUNTS_NOT = [
    "params.yaml", "deployment.yaml", "README.md", "docs/index.md", "tests/test_rules.py", "test_rules.py", "conftest.py",
    "catalog/rows.yaml", ".env", ".git/HEAD", "deep/.hidden", "__pycache__/x.pyc", "deep/__pycache__/x.pyc",
]  # fmt: skip


@pytest.mark.parametrize("name", [*COUNTS, *COUNTS_NOT])
def test_every_file_of_a_project_counts_but_those_that_change_nothing_or_enter_by_value(
    name: str, index: CodeIndex, toy: Definition
) -> None:
    def digest() -> str:
        return CodeIndex(index.cache_file, index.projects).digest([TOY])  # as the next process would

    file = toy.folder / name
    first = digest()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("# one\n" if name.endswith(".py") else "one")
    there = digest()
    file.write_text("# two\n" if name.endswith(".py") else "two")
    assert len({first, there, digest()}) == (3 if name in COUNTS else 1)


def test_what_lies_beside_a_project_does_not_count(index: CodeIndex, toy: Definition) -> None:
    first = index.digest([TOY])
    (toy.folder.parent / "other.py").write_text("x = 1")
    (toy.folder.parent / "other.sql").write_text("select 1")
    assert index.digest([TOY]) == first


def test_links_are_followed_and_a_circle_of_them_ends(index: CodeIndex, toy: Definition, tmp_path: Path) -> None:
    words = tmp_path / "elsewhere" / "words.txt"
    words.parent.mkdir()
    words.write_text("one")
    (toy.folder / "words").symlink_to(words.parent)
    (toy.folder / "again").symlink_to(toy.folder)
    (toy.folder / "nowhere").symlink_to(tmp_path / "gone")
    first = index.digest([TOY])
    words.write_text("two")
    assert index.digest([TOY]) != first


@pytest.mark.parametrize("how", ["in place", "moved there"])
@pytest.mark.parametrize("name", ["__init__.py", "words.txt"])
def test_an_edit_that_keeps_time_and_length_is_seen(how: str, name: str, index: CodeIndex, toy: Definition) -> None:
    """As `cp -p`, `rsync -t` and `tar` make it."""
    file = toy.folder / name
    with file.open("a") as stream:
        stream.write("#1")
    first, status = index.digest([TOY]), file.stat()
    other = file if how == "in place" else file.with_name(".other")
    other.write_text(file.read_text()[:-1] + "2")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)
    assert (file.stat().st_mtime_ns, file.stat().st_size) == (status.st_mtime_ns, status.st_size)
    assert CodeIndex(index.cache_file, index.projects).digest([TOY]) != first


def test_a_known_project_takes_milliseconds(index: CodeIndex, toy: Definition) -> None:
    for number in range(200):
        (toy.folder / f"prompt{number}.txt").write_text("words")
    index.digest([TOY])
    began = time.perf_counter()
    CodeIndex(index.cache_file, index.projects).digest([TOY])
    assert time.perf_counter() - began < 0.5  # 5 ms where nothing else runs


def test_imports_are_followed_however_they_are_written(index: CodeIndex, toy: Definition) -> None:
    (toy.folder / "deep").mkdir()
    (toy.folder / "deep" / "__init__.py").write_text("")
    (toy.folder / "deep" / "inner.py").write_text("from ..near import value\nfrom . import beside\n")
    (toy.folder / "deep" / "beside.py").write_text("")
    (toy.folder / "near.py").write_text(
        "def lazy():\n    import pipelines.parts.arrays\n    return 'pipelines.core.ledger:Ledger'\nvalue = 1\n"
    )
    found = set(index.closure([f"{TOY}.deep.inner"]))
    assert {f"{TOY}.deep", f"{TOY}.deep.inner", f"{TOY}.deep.beside", f"{TOY}.near", TOY} <= found
    assert {"pipelines.parts.arrays", "pipelines.core.ledger", "pipelines.core.store"} <= found


def test_a_stage_does_not_depend_on_the_other_stages(index: CodeIndex) -> None:
    found = index.closure(["pipelines.stages.features", TOY])
    assert "pipelines.core.execution" in found
    assert {name for name in found if name.startswith("pipelines.stages.")} == {"pipelines.stages.features"}


def test_a_syntax_error_is_named_with_file_and_line(index: CodeIndex, toy: Definition) -> None:
    (toy.folder / "broken.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(ConfigError, match=r"broken\.py:2: invalid syntax; mend it and run again"):
        index.digest([TOY])
    (toy.folder / "broken.py").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"broken\.py is not Python source"):
        index.digest([TOY])


def test_what_was_read_is_remembered_and_a_strange_memory_ignored(index: CodeIndex, toy: Definition) -> None:
    first = index.digest([TOY])
    again = CodeIndex(index.cache_file, index.projects)
    assert str(toy.folder / "__init__.py") in again.known
    assert again.digest([TOY]) == first
    for strange in ("not json", json.dumps({"format": 0, "files": {"x": {}}})):
        index.cache_file.write_text(strange)
        assert CodeIndex(index.cache_file, index.projects).digest([TOY]) == first


def test_a_project_is_found_where_it_is(toy: Definition) -> None:
    assert find_projects()["toy"].folder == toy.folder
