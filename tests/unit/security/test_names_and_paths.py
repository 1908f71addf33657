"""Names and paths that want to go somewhere else: refused, and nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.artifacts import Ref
from pipelines.core.backend import FolderBackend, plain_key
from pipelines.core.discovery import Definition, find_project, find_projects
from pipelines.core.errors import ConfigError, DataError
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.runners.dvc import render
from pipelines.scaffold import create

CLIMBING = ["../outside", "a/../../outside", "/etc/passwd", "objects/../../outside", "a\\..\\..\\outside", "a\0b", ".."]
HOSTILE = [
    "../../x",
    "$(touch pwned)",
    "`id`",
    "a;b",
    "a\nb",
    "-rf",
    "--help",
    "chürn",
    "сhurn",  # the first letter is Cyrillic
    "churn\u200b",
    "ｃhurn",
    "..",
    "con/../x",
    "import",
    "class",
    "os",
    "pipelines",
    "test",
]


@pytest.mark.parametrize("key", CLIMBING)
def test_a_key_that_climbs_out_of_the_store_is_refused_by_every_call(tmp_path: Path, key: str) -> None:
    store = FolderBackend(tmp_path / "store")
    source = tmp_path / "source"
    source.write_text("x")
    before = sorted(tmp_path.rglob("*"))
    for call in (
        lambda: store.upload(key, source),
        lambda: store.download(key),
        lambda: store.read(key),
        lambda: store.has(key),
        lambda: store.create(key, b"x"),
        lambda: store.replace(key, b"x"),
        lambda: store.remove(key),
        lambda: store.keys(f"{key}/"),
    ):
        with pytest.raises(DataError, match="is no key of the store"):
            call()
    assert sorted(tmp_path.rglob("*")) == before


@given(st.text(alphabet=st.sampled_from("a./\\\0-"), max_size=12))
def test_no_key_leaves_its_folder(key: str) -> None:
    root = Path("/nowhere/store")
    try:
        place = root / plain_key(key)
    except DataError:
        return
    assert place.resolve().is_relative_to(root)


def test_a_link_in_the_store_leads_nowhere(tmp_path: Path) -> None:
    store = Store(FolderBackend(tmp_path / "store"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "000001.json").write_text("{}")
    store.create("ledger/other/000001.json", b"{}")
    (tmp_path / "store" / "ledger" / "churn").symlink_to(outside)
    for call in (
        lambda: store.read("ledger/churn/000001.json"),
        lambda: store.replace("ledger/churn/000001.json", b"mine"),
        lambda: store.remove("ledger/churn/000001.json"),
    ):
        with pytest.raises(DataError, match="is a link that leads out of the store"):
            call()
    assert (outside / "000001.json").read_text() == "{}"


def test_a_store_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    store = Store(FolderBackend(tmp_path / "store"))
    assert store.create("a/1", b"x")
    assert store.read("a/1") == b"x"


def test_a_reference_that_is_no_digest_is_refused(tmp_path: Path) -> None:
    store = Store(FolderBackend(tmp_path / "store"))
    with pytest.raises(DataError, match="is no key of the store"):
        store.fetch(Ref(name="model", digest="../../../etc/passwd", codec="text", size=1))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_makes_no_project(settings: Settings, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=r"cannot name a project|means something else already"):
        create(name, tmp_path / "there")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", [name for name in HOSTILE if "/" not in name and name != ".." and not name.isidentifier()])
def test_a_folder_with_a_hostile_name_is_no_project(toy: Definition, name: str) -> None:
    """It would become part of the shell commands in dvc.yaml, of paths and of addresses."""
    shutil.copytree(toy.folder, toy.folder.parent / name)
    assert name not in find_projects()
    assert name not in render(find_projects())
    with pytest.raises(ConfigError, match="there is no project"):
        find_project(name)
