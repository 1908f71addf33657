"""Getting a data set: public URL, mirror, package, simulator, in this order; the first that answers.

Whatever answers, its sha256 is checked before anything is parsed. What is in the cache needs no network. A source that
cannot be reached is given up within seconds and named, with the reason, in the result. A wrong checksum stops everything.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.core.codecs import load_object
from pipelines.core.config import Ingest
from pipelines.core.discovery import CATALOG
from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.core.execution import Progress
from pipelines.core.files import contents, disk_errors, scratch
from pipelines.core.scrub import without_password
from pipelines.core.settings import Settings
from pipelines.data import packages, transport
from pipelines.data.cache import Cache, Came
from pipelines.data.catalog import Entry, File, Simulator, SourceName, entry
from pipelines.data.transport import Unreachable


@dataclass(frozen=True)
class Fetched:
    """A data set's files, and where they came from."""

    folder: Path
    """Holds the files as given, and nothing else."""
    source: str
    """url, mirror, package, simulator, stand-in or path."""
    origin: str
    """The address, folder, package or function."""
    files: dict[str, str]
    """Name (or path below `folder`) to sha256."""
    notes: list[str] = field(default_factory=list)
    """What a reader of results should know of these data."""
    tried: list[str] = field(default_factory=list)
    """Sources that did not answer, each with the reason."""

    @property
    def makeshift(self) -> bool:
        """Whether these rows are simulated, or of another data set, only because no source of the real ones answered."""
        return bool(self.tried) and self.source in ("simulator", "stand-in")


def fetch(
    ingest: Ingest,
    settings: Settings,
    seed: int,
    *,
    into: Path | None = None,
    progress: Progress = lambda done, total, message: None,
    catalog: Sequence[Path] = (CATALOG,),
) -> Fetched:
    """Bring the data set of `params.ingest` into a folder: `into`, or a new one that belongs to the caller. Entries are looked for
    in the folders of `catalog`, in order.

    Raises DataError for a wrong checksum or a path without files, ConfigError for an unknown data set or source, and
    InfrastructureError, which names every source tried, when none answers.
    """
    folder = into or Path(tempfile.mkdtemp(prefix="fetched-", dir=scratch()))
    folder.mkdir(parents=True, exist_ok=True)
    if ingest.path:
        return _own_files(ingest, folder, catalog)
    if ingest.simulator:
        return _simulated(Simulator(function=ingest.simulator, rows=ingest.rows), ingest, seed, folder, ())
    assert ingest.dataset, "config.Ingest names some data"
    request = _Request(entry(ingest.dataset, catalog), ingest, settings, seed, folder, progress)
    sources = _wanted(request.entry, ingest)
    return _from_cache(request, sources) or _from_sources(request, sources)


def fetch_resource(
    name: str,
    settings: Settings,
    into: Path,
    progress: Progress = lambda done, total, message: None,
    catalog: Sequence[Path] = (CATALOG,),
) -> Fetched:
    """Bring the files of another entry of the catalog, such as published weights, into a folder; never simulated ones.

    Raises ConfigError for an unknown entry, DataError for a wrong checksum, InfrastructureError when no source answers.
    """
    found = entry(name, catalog)
    into.mkdir(parents=True, exist_ok=True)
    request = _Request(found.model_copy(update={"simulator": None}), Ingest(dataset=name), settings, 0, into, progress)
    sources = request.entry.offers()
    return _from_cache(request, sources) or _from_sources(request, sources)


@dataclass(frozen=True)
class _Request:
    entry: Entry
    ingest: Ingest
    settings: Settings
    seed: int
    folder: Path
    progress: Progress

    @property
    def cache(self) -> Cache:
        return Cache(self.settings)

    def result(self, source: str, origin: str, notes: Sequence[str], tried: Sequence[str]) -> Fetched:
        return Fetched(self.folder, source, origin, contents(self.folder), list(notes), list(tried))


def _wanted(entry: Entry, ingest: Ingest) -> list[SourceName]:
    """The sources to try: the one asked for, or all the entry offers."""
    offers = entry.offers()
    if ingest.source and ingest.source not in offers:
        raise ConfigError(
            f"ingest.source is {ingest.source!r}, which {ingest.dataset!r} does not offer; it has {', '.join(offers)}"
        )
    sources = [ingest.source] if ingest.source else offers
    if ingest.drift and sources != ["simulator"]:
        raise ConfigError(
            f"ingest.drift is {ingest.drift}, which only a simulator can plant; set ingest.source to 'simulator' or remove it"
        )
    return sources


def _from_cache(request: _Request, sources: Sequence[str]) -> Fetched | None:
    """The data set from downloads of an earlier run that came from one of these sources."""
    published = [request.cache.find(file.sha256) for file in request.entry.files]
    if all(found and found[1].source in sources for found in published):
        for file, found in zip(request.entry.files, published, strict=True):
            assert found is not None
            transport.copy(str(found[0]), request.folder / file.name, request.progress)
        came = next(found[1] for found in published if found)
        return request.result(came.source, came.origin, request.entry.notes, came.tried)
    package = request.entry.package
    if package and "package" in sources:
        members = [request.cache.find(member.sha256) for member in package.members]
        if all(members):
            tried = next(found[1].tried for found in members if found)
            return _package(request, tried)
    return None


def _from_sources(request: _Request, sources: Sequence[SourceName]) -> Fetched:
    tried: list[str] = []
    for name in sources:
        try:
            return _SOURCES[name](request, tuple(tried))
        except Unreachable as error:
            tried.append(without_password(f"{name}: {error}"))
    listing = "\n".join(f"  - {one}" for one in tried)
    raise InfrastructureError(
        f"no source of {request.ingest.dataset!r} can be reached:\n{listing}\n"
        "Set PIPELINES_MIRROR to a folder or URL that holds the files, or for a data set ingest.path to files of your own, "
        "and run again"
    )


# one function a source -------------------------------------------------------------------------------------------------


def _url(request: _Request, tried: tuple[str, ...]) -> Fetched:
    return _published(request, "url", tried, lambda file: file.urls)


def _mirror(request: _Request, tried: tuple[str, ...]) -> Fetched:
    root = request.settings.mirror
    if not root:
        raise Unreachable("PIPELINES_MIRROR is not set")
    return _published(request, "mirror", tried, lambda file: (f"{root.rstrip('/')}/{file.mirror}",))


def _package(request: _Request, tried: tuple[str, ...]) -> Fetched:
    package = request.entry.package
    assert package is not None, "offered"
    packages.fetch(package, request.folder, request.cache, request.progress, tried)
    return request.result("package", packages.origin(package), [*package.notes, *request.entry.notes], tried)


def _simulator(request: _Request, tried: tuple[str, ...]) -> Fetched:
    assert request.entry.simulator is not None, "offered"
    return _simulated(request.entry.simulator, request.ingest, request.seed, request.folder, tried)


def _simulated(simulator: Simulator, ingest: Ingest, seed: int, folder: Path, tried: Sequence[str]) -> Fetched:
    """The files of a simulator, the catalog's or the project's own, labelled as what they are."""
    with disk_errors(f"writing the simulated rows of {simulator.function}"):
        load_object(simulator.function)(folder, simulator.rows, seed, dict(ingest.drift))
    drift = f", with planted drift {ingest.drift}" if ingest.drift else ""
    made = f"{simulator.rows:,} rows drawn by {simulator.function} with seed {seed}{drift}"
    if simulator.stand_in:
        source, note = "stand-in", f"STAND-IN: {simulator.stand_in}; {made}."
    else:
        source, note = "simulator", f"SIMULATED: {made}; no real data."
    return Fetched(folder, source, simulator.function, contents(folder), [note], list(tried))


_SOURCES: dict[SourceName, Callable[[_Request, tuple[str, ...]], Fetched]] = {
    "url": _url,
    "mirror": _mirror,
    "package": _package,
    "simulator": _simulator,
}


def _published(request: _Request, source: str, tried: tuple[str, ...], addresses: Callable[[File], Sequence[str]]) -> Fetched:
    """The files as published, each from the first of its addresses that answers."""
    origins = []
    for file in request.entry.files:
        found = request.cache.find(file.sha256)
        if found is None or found[1].source != source:
            path, origin = _first(request, file, source, tried, addresses(file))
        else:
            path, origin = found[0], found[1].origin
        transport.copy(str(path), request.folder / file.name, request.progress)
        origins.append(origin)
    return request.result(source, origins[0], request.entry.notes, tried)


def _first(request: _Request, file: File, source: str, tried: tuple[str, ...], addresses: Sequence[str]) -> tuple[Path, str]:
    reasons = []
    for address in addresses:

        def write(path: Path, address: str = address) -> None:
            transport.copy(address, path, request.progress, file.bytes)

        try:
            came = Came(source=source, origin=without_password(address), tried=tried)
            return request.cache.admit(file.name, file.sha256, came, write), came.origin
        except Unreachable as error:
            reasons.append(str(error))
    raise Unreachable("; ".join(reasons))


# a file or folder of one's own ------------------------------------------------------------------------------------------


def _own_files(ingest: Ingest, folder: Path, catalog: Sequence[Path]) -> Fetched:
    """Copy a file or folder of one's own. A lone file takes the name the catalog's only file has, so that `load` finds it."""
    assert ingest.path is not None
    path = Path(ingest.path).expanduser()
    if path.is_dir():
        with disk_errors(f"copying {path}"):
            shutil.copytree(path, folder, dirs_exist_ok=True)
    elif path.is_file():
        names = [file.name for file in entry(ingest.dataset, catalog).files] if ingest.dataset else []
        name = names[0] if len(names) == 1 else path.name
        if Path(name).suffix.lower() != path.suffix.lower():
            raise DataError(
                f"ingest.path is {ingest.path!r}, but {name!r}, whose place it takes, is read as {Path(name).suffix or 'it is'}; "
                "save it in that format first"
            )
        transport.copy(str(path), folder / name, lambda done, total, message: None)
    else:
        raise DataError(f"ingest.path is {ingest.path!r}, and there is no such file or folder ({path.absolute()}); mend the path")
    files = contents(folder)
    if not files:
        raise DataError(f"ingest.path is {ingest.path!r}, a folder without files; expected at least one")
    return Fetched(folder, "path", str(path.absolute()), files, ["Own files: recorded by hash, compared with no catalog."])
