"""Build a version again from its lineage and compare, artifact by artifact.

Everything happens beside the real store: stages read old artifacts through it and write into a folder that is deleted, see
the ledger as it was before the version was judged, and never promote.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.core import graph as graphs
from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.backend import Backend, FolderBackend, Stamp, last_folders
from pipelines.core.config import Params
from pipelines.core.errors import DataError, InfrastructureError
from pipelines.core.execution import Session, execute
from pipelines.core.graph import Node, Output
from pipelines.core.ledger import Entry
from pipelines.core.run import new_id
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.tracking import records, registry
from pipelines.tracking.provenance import differences

TOLERANCE = 1e-6
"""Largest relative difference of a number that still counts as the same result."""
_TIMED = re.compile(
    r"seconds|(curve|trials)\[\d+\]\.(seconds|\w+_per_second)|scores\[\d+\]\.latency_ms|criteria\[(floor|ceiling): latency_ms\]"
)
"""Places in a fit, a leaderboard and a decision that hold the run's own time, measured anew each time; a criterion on it may even
flip. A metric may be called as it likes, for its place is another."""

Show = Callable[[str, str], None]
"""Told each stage's name and its verdict."""


def reproduce(
    project: str,
    version: int | str = "champion",
    settings: Settings | None = None,
    *,
    tolerance: float = TOLERANCE,
    show: Show = lambda node, verdict: None,
) -> dict[str, Any]:
    """Run the chain again as it was asked then, every stage afresh, and compare what comes out.

    Returns ``{"project", "version", "run", "verdict", "tolerance", "warnings", "stages": [{"node", "verdict", "outputs":
    {name: {"verdict", "expected", "found", "note"}}}]}``; a verdict is `identical` (bit for bit), `within tolerance` (all
    numbers of its documents), `different`, or `not judged` (pages and pictures for people, where they differ).
    """
    settings = settings or Settings.load()
    entry = registry.find(project, version, settings)
    real = Store.open(settings.store, settings.home / "cache" / "store")
    then = records.results(real, project, entry.run)
    home = settings.home / "scratch"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="reproduce-", dir=home) as place:
        session = _session(entry, settings, real, Path(place))
        nodes = [node for node in session.graph.ancestors(["promote"]) if node.stage.reuse]
        if missing := [node.name for node in nodes if node.name not in then]:
            raise DataError(
                f"the store has no record of what {', '.join(missing)} gave in run {entry.run}; nothing to compare with"
            )
        warnings = differences(project, entry)
        done: dict[str, StageResult] = {}
        stages: list[dict[str, Any]] = []
        for node in nodes:
            done[node.name] = _again(session, node, done, then[node.name], warnings)
            outputs = {
                output.name: _compared(
                    session, output, then[node.name].outputs[output.name], done[node.name].outputs[output.name], tolerance
                )
                for output in node.stage.writes
            }
            verdict = _worst(str(one["verdict"]) for one in outputs.values())
            show(node.name, verdict)
            stages.append({"node": node.name, "verdict": verdict, "outputs": outputs})
    return {
        "project": project,
        "version": entry.version,
        "run": entry.run,
        "verdict": _worst(str(stage["verdict"]) for stage in stages),
        "tolerance": tolerance,
        "warnings": warnings,
        "stages": stages,
    }


class Beside:
    """A store backend that reads artifacts and the first entries of a ledger from a real store and writes beside it."""

    def __init__(self, real: Backend, scratch: Backend, entries: int) -> None:
        self.real, self.scratch, self.entries = real, scratch, entries

    def _shared(self, key: str) -> bool:
        if key.startswith("ledger/"):
            return int(Path(key).stem) <= self.entries
        return key.startswith(("objects/", "manifests/"))

    def upload(self, key: str, source: Path) -> bool:
        return self.scratch.upload(key, source)

    def download(self, key: str) -> Path:
        try:
            return self.scratch.download(key)
        except KeyError:
            if not self._shared(key):
                raise
            return self.real.download(key)

    def read(self, key: str) -> bytes | None:
        found = self.scratch.read(key)
        return self.real.read(key) if found is None and self._shared(key) else found

    def has(self, key: str) -> bool:
        return self.scratch.has(key) or (self._shared(key) and self.real.has(key))

    def create(self, key: str, content: bytes) -> bool:
        return self.scratch.create(key, content)

    def replace(self, key: str, content: bytes) -> None:
        self.scratch.replace(key, content)

    def remove(self, key: str) -> None:
        self.scratch.remove(key)

    def keys(self, prefix: str) -> list[str]:
        shared = [key for key in self.real.keys(prefix) if self._shared(key)]
        return sorted({*shared, *self.scratch.keys(prefix)})

    def stamp(self, key: str) -> Stamp | None:
        return self.scratch.stamp(key) or (self.real.stamp(key) if self._shared(key) else None)

    def stamps(self, prefix: str) -> dict[str, Stamp]:
        shared = {key: stamp for key, stamp in self.real.stamps(prefix).items() if self._shared(key)}
        return shared | self.scratch.stamps(prefix)

    def touch(self, key: str) -> bool:
        return self.scratch.touch(key) or (self._shared(key) and self.real.touch(key))

    def newest(self, prefix: str) -> dict[str, list[str]]:
        return last_folders(prefix, self.keys(prefix))


def _session(entry: Entry, settings: Settings, real: Store, place: Path) -> Session:
    """The run as it was asked, in an installation of its own that shares nothing but downloads and finished artifacts."""
    run, params = records.asked(real, entry.lineage["pipelines.project"], entry.run)
    home = place / "home"
    home.mkdir()
    (home / "cache").symlink_to(settings.home / "cache")
    own = settings.model_copy(update={"home": home, "data": place / "data", "remote": str(place / "remote"), "study": None})
    session = Session(run.model_copy(update={"id": new_id("reproduce"), "fresh": True}), "training", own)
    session.params = _same_source(params, entry)
    session.graph = graphs.training(params.train.candidates)
    session.store = Store(Beside(real.backend, FolderBackend(place / "store"), entry.number - 1))
    return session


def _same_source(params: Params, entry: Entry) -> Params:
    """Ask the source that was used then, not the first that answers now."""
    source = entry.lineage.get("data.source")
    if params.ingest.dataset is None or params.ingest.path or not source:
        return params
    asked = "simulator" if source == "stand-in" else source
    ingest = params.ingest.model_validate({**params.ingest.model_dump(), "source": asked})
    return params.model_copy(update={"ingest": ingest})


def _again(session: Session, node: Node, done: Mapping[str, StageResult], then: StageResult, warnings: list[str]) -> StageResult:
    """Execute a node afresh. Where raw data cannot be had again, the stored ones stand in, and a warning says so."""
    try:
        result = execute(session, node, done)
    except (DataError, InfrastructureError) as error:
        if node.stage.reads:
            raise
        warnings.append(f"{node.name}: the source gave nothing ({error}); the stored snapshot was used")
        return then
    raw = [output.name for output in node.stage.writes if output.codec == "folder" and not node.stage.reads]
    if any(result.outputs[name].digest != then.outputs[name].digest for name in raw):
        warnings.append(f"{node.name}: the source gives other data now; the stored snapshot was used")
        return then
    return result


def _compared(session: Session, output: Output, then: Ref, now: Ref, tolerance: float) -> dict[str, Any]:
    told: dict[str, Any] = {"verdict": "identical", "expected": then.digest, "found": now.digest, "note": ""}
    if then.digest == now.digest:
        return told
    if now.codec == "json":
        before, after = session.read(then), session.read(now)
        if not any(_differences(before, after, 0.0)):
            return {**told, "note": "but for timings"}
        faults = list(_differences(before, after, tolerance))
        return {**told, "verdict": "different" if faults else "within tolerance", "note": "; ".join(faults[:3])}
    if output.codec == "folder" and output.show == "artifact":
        return {**told, "verdict": "not judged", "note": "made for people, with dates and timings in it"}
    return {**told, "verdict": "different"}


def _differences(then: Any, now: Any, tolerance: float, place: str = "") -> Iterator[str]:
    """Places where two documents differ by more than the tolerance; timings are left out.

    >>> list(_differences({"a": 1.0, "curve": [{"seconds": 3}]}, {"a": 1.1, "curve": [{"seconds": 4}]}, 1e-6))
    ['a: 1.0 then, 1.1 now']
    """
    if _TIMED.fullmatch(place):
        return
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            yield from _differences(then.get(key), now.get(key), tolerance, f"{place}.{key}" if place else key)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            name = one.get("name", number) if isinstance(one, dict) else number
            yield from _differences(one, other, tolerance, f"{place}[{name}]")
    elif _is_number(then) and _is_number(now):
        if not (math.isclose(then, now, rel_tol=tolerance, abs_tol=tolerance) or (math.isnan(then) and math.isnan(now))):
            yield f"{place}: {then} then, {now} now"
    elif then != now:
        yield f"{place}: {then!r} then, {now!r} now"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _worst(verdicts: Iterator[str]) -> str:
    """What may be said of several: pages that were not judged do not count."""
    order = ("identical", "not judged", "within tolerance", "different")
    worst = max(verdicts, key=order.index, default="identical")
    return "identical" if worst == "not judged" else worst
