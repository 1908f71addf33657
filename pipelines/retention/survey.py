"""Look at everything the platform has written, and find what may go."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from pipelines.core import sweep
from pipelines.core.artifacts import Manifest, StageResult
from pipelines.core.backend import Stamp
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.data.snapshots import Snapshots
from pipelines.retention.pile import Pile
from pipelines.retention.roots import roots
from pipelines.retention.temporary import temporary
from pipelines.runners import dvc
from pipelines.tracking import artifacts, open_runs, records
from pipelines.tracking.records import Activity

GRACE = timedelta(days=7)
"""Nothing goes sooner than this after it was written or used again, for a run at work has not yet said what it needs: longer
than any one stage takes."""


def survey(settings: Settings, now: float | None = None) -> list[Pile]:
    """What may go at a time (seconds since the epoch; now by default), in the order in which it should."""
    now = time.time() if now is None else now
    before = now - GRACE.total_seconds()
    store = Store.open(settings.store, settings.home / "cache" / "store")
    active = records.activity(store)
    stay = roots(store, active, now, dvc.referenced(settings))
    gone = {"/".join(key): run for key, run in active.items() if key not in stay.runs and run.at < before}
    found = {key.rpartition("/")[2]: stamp for key, stamp in store.backend.stamps("objects/").items()}
    manifests = {PurePosixPath(key).stem: stamp.size for key, stamp in store.backend.stamps("manifests/").items()}
    young = {digest for digest, stamp in found.items() if stamp.at >= before}
    kept = {digest: store.manifest(digest) for digest in manifests.keys() & ({ref.digest for ref in stay.refs} | young)}
    used = young.union(*(manifest.objects for manifest in kept.values()))
    objects = {digest: stamp.size + manifests.get(digest, 0) for digest, stamp in found.items() if digest not in used}
    snapshots = Snapshots(settings)
    pointers = [
        pointer
        for manifest in kept.values()
        if manifest.ref.name == "snapshot" and (pointer := _pointer(store, manifest)) is not None
    ]
    return [
        _memos(store, kept, before),
        Pile("artifacts in the store", objects, partial(_take_objects, store, objects, before)),
        Pile(
            "files of MLflow runs",
            {name: size for name in gone if (size := artifacts.size(settings, store, *name.split("/")))},
            partial(_take_files, settings, store, gone, before),
        ),
        Pile(
            "records of runs",
            {name: sum(run.sizes.values()) for name, run in gone.items()},
            partial(_take_runs, store, gone, before),
        ),
        Pile("snapshots", snapshots.unused(pointers, before), partial(snapshots.remove_unused, pointers, before)),
        temporary(settings, before),
    ]


def _take_objects(store: Store, objects: dict[str, int], before: float) -> Iterator[str]:
    names = list(objects)
    keys = [[f"objects/{digest[:2]}/{digest}", f"manifests/{digest}.json"] for digest in names]
    for number in sweep.remove(store.backend, keys, before):
        yield names[number]


def _memos(store: Store, kept: dict[str, Manifest], before: float) -> Pile:
    """Remembered results that point to what goes: a later run computes them again."""

    def useless(key: str) -> bool:
        content = store.read(key)
        refs = StageResult.model_validate_json(content).outputs.values() if content else ()
        return any(ref.digest not in kept for ref in refs)

    stamps = store.backend.stamps("memo/")
    sizes = {key: stamp.size for key, stamp in stamps.items() if stamp.at < before and useless(key)}
    return Pile("remembered results", sizes, partial(_take_records, store, {key: stamps[key] for key in sizes}))


def _take_records(store: Store, stamps: dict[str, Stamp]) -> Iterator[str]:
    for key, stamp in stamps.items():
        if store.backend.stamp(key) == stamp:  # not written anew since
            store.remove(key)
            yield key


def _pointer(store: Store, manifest: Manifest) -> dict[str, Any] | None:
    pointer: dict[str, Any] | None = json.loads(store.fetch(manifest.ref).read_bytes()).get("pointer")
    return pointer


def _idle(store: Store, name: str, before: float) -> bool:
    """Whether a run has still not been at work since."""
    now = records.activity(store, f"runs/{name}/").values()
    return all(run.at < before for run in now) and not open_runs.is_open(store, *name.split("/"))


def _take_files(settings: Settings, store: Store, gone: dict[str, Activity], before: float) -> Iterator[str]:
    for name in gone:
        if _idle(store, name, before) and artifacts.remove(settings, store, *name.split("/")):
            yield name


def _take_runs(store: Store, gone: dict[str, Activity], before: float) -> Iterator[str]:
    for name, run in gone.items():
        if _idle(store, name, before):
            for key in run.sizes:
                store.remove(key)
            yield name
