"""On any store: nothing that a root reaches goes, everything else that is old does, and a second collection finds nothing."""

from __future__ import annotations

import time
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.backend import FolderBackend, Stamp
from pipelines.core.ledger import Entry, Ledger
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.retention import report, survey

OLD = 40 * 86400.0


class Memory(FolderBackend):
    """A store in memory; only downloads touch the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.held: dict[str, tuple[bytes, float]] = {}
        self.folder = folder

    def upload(self, key: str, source: Path) -> bool:
        return self.touch(key) is False and self.create(key, source.read_bytes())

    def download(self, key: str) -> Path:
        target = self.folder / key.replace("/", "_")
        target.write_bytes(self.held[key][0])
        return target

    def read(self, key: str) -> bytes | None:
        return self.held[key][0] if key in self.held else None

    def has(self, key: str) -> bool:
        return key in self.held

    def create(self, key: str, content: bytes) -> bool:
        if key in self.held:
            return False
        self.replace(key, content)
        return True

    def replace(self, key: str, content: bytes) -> None:
        self.held[key] = (content, time.time())

    def remove(self, key: str) -> None:
        self.held.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.held if key.startswith(prefix))

    def stamp(self, key: str) -> Stamp | None:
        content, at = self.held.get(key, (b"", 0.0))
        return Stamp(len(content), at) if key in self.held else None

    def touch(self, key: str) -> bool:
        if key in self.held:
            self.held[key] = (self.held[key][0], time.time())
        return key in self.held

    def age(self) -> None:
        self.held = {key: (content, at - OLD) for key, (content, at) in self.held.items()}


artifacts = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), min_size=1, max_size=10)
"""Each artifact as the files it consists of; two may share some, or be the same."""
picks = st.lists(st.integers(0, 9), max_size=4)
runs = st.lists(st.tuples(st.sampled_from(["a", "b"]), picks, st.sampled_from(["open", "judged", "young", "gone"])), max_size=8)


def put(store: Store, folder: Path, files: list[int], codec: str) -> Ref:
    place = folder / "put"
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    for number in files:
        (place / str(number)).write_text(f"content {number}")
    path = place if len(files) > 1 else place / str(files[0])
    return store.put("thing", path, codec=codec, project="a", stage="s", fingerprint="f")


@given(artifacts, runs, picks, picks)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_reachable_stays_and_the_rest_goes(
    tmp_path_factory: Any, made: list[list[int]], ran: list[tuple[str, list[int], str]], memos: list[int], young: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    backend = Memory(folder)
    store = Store(backend)
    refs = [put(store, folder, files, "json" if number % 2 else "text") for number, files in enumerate(made)]
    needed: list[Ref] = []
    challengers: dict[str, list[Ref]] = {}
    for number, (project, picked, fate) in enumerate(ran):
        given_refs = [refs[one % len(refs)] for one in picked]
        result = StageResult(node="n", fingerprint="f", outputs={str(n): ref for n, ref in enumerate(given_refs)})
        store.replace(f"runs/{project}/r{number}/nodes/n.json", result.model_dump_json().encode())
        if fate == "open":
            store.replace(f"open-runs/{project}/r{number}.json", b"{}")
        elif fate == "judged" and given_refs:
            model = given_refs[0]
            Ledger(store).append(project, Entry(kind="rejection", run=f"r{number}", why="", version=number, model=model))
            store.replace(f"runs/{project}/r{number}/run.json", b"{}")
            needed += [model, *(ref for ref in given_refs if ref.codec == "json")]
            challengers[project] = given_refs  # the newest that was refused: its run is kept whole
        if fate in ("open", "young"):
            needed += given_refs
    for one in memos:
        result = StageResult(node="n", fingerprint="f", outputs={"thing": refs[one % len(refs)]})
        store.replace(f"memo/a/n/{one}.json", result.model_dump_json().encode())
    backend.age()
    for number, (project, _, fate) in enumerate(ran):
        if fate == "young":
            backend.touch(f"runs/{project}/r{number}/nodes/n.json")
    used_again = [refs[one % len(refs)] for one in young]
    assert store.keep(used_again)
    places = Settings.load({"PIPELINES_HOME": str(folder / "home"), "PIPELINES_DATA": str(folder / "data")})
    with (
        mock.patch("pipelines.core.store.Store.open", return_value=store),
        mock.patch("pipelines.retention.roots._policy", return_value=_nothing()),
        mock.patch("pipelines.runners.dvc.referenced", return_value=()),
        mock.patch("tempfile.tempdir", str(folder / "none")),
    ):
        report(survey(places), apply=True)
        left = dict(backend.held)
        again = report(survey(places), apply=True)
    assert again["count"] == 0
    assert backend.held == left
    wanted = {ref.digest for ref in (*needed, *used_again, *chain.from_iterable(challengers.values()))}
    kept = {key.removeprefix("manifests/").removesuffix(".json") for key in store.keys("manifests/")}
    assert wanted <= kept
    assert store.keep(refs_of(wanted, refs)), "every file of them is there"
    objects = {digest for ref in refs_of(wanted, refs) for digest in store.manifest(ref.digest).objects}
    assert {key.rpartition("/")[2] for key in store.keys("objects/")} == objects, "and nothing else"
    for key in store.keys("memo/"):
        assert store.keep(StageResult.model_validate_json(store.read(key) or b"").outputs.values()), "no memo leads nowhere"


def refs_of(digests: set[str], refs: list[Ref]) -> list[Ref]:
    return [ref for ref in refs if ref.digest in digests]


def _nothing() -> Any:
    from datetime import timedelta

    from pipelines.core.deployment import Retention

    return Retention(runs=0, within=timedelta(days=10))
