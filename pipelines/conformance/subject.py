"""A project under examination, in an installation of its own; what several checks need is worked out once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from pipelines.conformance import engines
from pipelines.core.codecs import Codec
from pipelines.core.config import Params, Strict, validated
from pipelines.core.contract import Arrays, Checked, Featured, Fit, NoProbe, Probes, Project, Splits, Training, Window, sample
from pipelines.core.discovery import SHIPPED, Definition, find_projects
from pipelines.core.execution import Session, execute
from pipelines.core.run import Run, today
from pipelines.core.settings import Settings, quiet_environment

T = TypeVar("T")

_SOME = 300


class NotApplicable(Exception):
    """A check has nothing to ask of this project; the message says why."""


@dataclass
class Subject:
    """A project, and what its own methods make of its data."""

    definition: Definition
    folder: Path
    """Everything the checks write is below it."""
    profile: str = "sample"
    chains: dict[str, engines.Chain] = field(default_factory=dict)
    """What running the whole chain gave, by runner."""

    def __post_init__(self) -> None:
        find_projects(self.settings.projects)  # lets the project be imported wherever its folder is

    # the installation ---------------------------------------------------------------------------------------------------

    def installation(self, name: str) -> dict[str, str]:
        """The environment of a fresh installation below `folder`, for child processes and `Settings.load`.

        Downloads of the caller's own installation are shared, everything else is apart.
        """
        home = self.folder / name
        moved = ("PIPELINES_HOME", "PIPELINES_DATA", "PIPELINES_STORE", "PIPELINES_STUDY", "PIPELINES_DVC_REMOTE")
        kept = {k: v for k, v in os.environ.items() if k not in moved and not k.startswith(("MLFLOW_", "PIPELINES_MLFLOW"))}
        quiet_environment(kept)
        places = [str(place) for place in Settings.load().projects]
        own = self.definition.folder.parent
        if own != SHIPPED and str(own) not in places:
            places.append(str(own))
        shared, cache = Settings.load().home / "cache" / "downloads", home / "home" / "cache" / "downloads"
        if shared.is_dir() and not cache.exists():
            cache.parent.mkdir(parents=True)
            cache.symlink_to(shared)
        return {
            **kept,
            "PIPELINES_HOME": str(home / "home"),
            "PIPELINES_DATA": str(home / "data"),
            "PIPELINES_PROJECTS": os.pathsep.join(places),
            "AIRFLOW_HOME": str(home / "airflow"),
            "OMP_NUM_THREADS": "1",
        }

    @cached_property
    def settings(self) -> Settings:
        return Settings.load(self.installation("direct"))

    def session(self, settings: Settings | None = None, **run: Any) -> Session:
        """A run of the training chain; opened in the shared installation unless told."""
        run = {"profile": self.profile, **run}
        session = Session(Run(project=self.definition.name, **run), "training", settings or self.settings)
        session.definition = self.definition
        return session

    def chain(self, runner: str) -> engines.Chain:
        """The whole training chain run once by a runner, in an installation of its own."""
        if runner not in self.chains:
            self.chains[runner] = self.run_chain(runner)
        return self.chains[runner]

    def run_chain(self, runner: str, installation: str | None = None, **run: Any) -> engines.Chain:
        """Run the chain; `installation` names another than the runner's own."""
        environment = self.installation(installation or runner)
        return engines.ENGINES[runner](self.definition, environment, {"profile": self.profile, **run})

    # the project's own words --------------------------------------------------------------------------------------------

    @cached_property
    def project(self) -> Project[Any, Any]:
        return self.definition.project()

    @cached_property
    def expected_failures(self) -> Mapping[str, str]:
        """Check name to reason; none for a project that cannot even be imported."""
        try:
            return self.project.expected_failures
        except Exception:
            return {}

    @cached_property
    def params(self) -> Params:
        return self.definition.params(self.profile)

    @cached_property
    def candidates(self) -> tuple[str, ...]:
        return tuple(self.params.train.candidates)

    def probe(self, hook: Callable[[Probes[Any]], Callable[..., T]], *arguments: Any) -> T:
        """Call a hook of the project's probes; the check is skipped when its kind of data offers none."""
        try:
            return hook(self.project.probes())(*arguments)
        except NoProbe:
            raise NotApplicable("the project's probes() do not offer what this check needs") from None

    # data ---------------------------------------------------------------------------------------------------------------

    @cached_property
    def raw(self) -> Path:
        """The raw files, as the ingest stage gives them."""
        session = self._raw_session
        result = execute(session, session.graph.node("ingest"), {})
        files: Path = session.read(result.outputs["raw"])
        return files

    @cached_property
    def _raw_session(self) -> Session:
        """Kept, because the files live as long as it does."""
        return self.session()

    @cached_property
    def window(self) -> Window:
        from pipelines.data import replay

        return replay.window(self.params.replay, today(), self.params.seed)

    @cached_property
    def data(self) -> Any:
        """The snapshot as `load` gives it."""
        return self.project.load(self.raw, self.window)

    @cached_property
    def checked(self) -> Checked[Any]:
        return self.project.check(self.data)

    @cached_property
    def cleaned(self) -> Any:
        """Rows that passed; where the profile works on a sample, that."""
        return sample(self.project, self.checked.data, self.params.split, self.params.seed)

    @cached_property
    def some_rows(self) -> Any:
        """Clean rows, few enough to look at each of them; all different."""
        first = self.project.take(self.cleaned, range(min(_SOME, self.project.count(self.cleaned))))
        seen = {digest: row for row, digest in enumerate(self.row_digests(first))}
        return self.project.take(first, sorted(seen.values()))

    @cached_property
    def splits(self) -> Splits[Any]:
        return self.split(self.cleaned)

    def split(self, data: Any) -> Splits[Any]:
        return self.project.split(data, self.params.split, self.params.seed)

    @cached_property
    def featured(self) -> Featured[Any]:
        return self.features(self.splits)

    def features(self, splits: Splits[Any]) -> Featured[Any]:
        return self.project.features(splits, validated(self.project.feature_params, self.params.features, "features"))

    @property
    def test(self) -> Any:
        """Test rows with their features."""
        return self.featured.splits.test

    # models -------------------------------------------------------------------------------------------------------------

    @cached_property
    def fits(self) -> dict[str, Fit[Any]]:
        """Every candidate fitted once with the given parameters, no tuning."""
        return {candidate: self.fit(candidate, self.featured.splits) for candidate in self.candidates}

    def fit(self, candidate: str, splits: Splits[Any]) -> Fit[Any]:
        own = validated(
            self.project.candidate_params.get(candidate, Strict),
            self.params.train.candidates[candidate],
            f"candidate {candidate}",
        )
        from pipelines.data.sources import fetch_resource

        workdir = Path(tempfile.mkdtemp(prefix="fit-", dir=self.folder))
        training = Training(
            seed=self.params.seed,
            trials=0,
            seconds=self.params.train.seconds,
            metric=self.params.evaluate.metric,
            greater_is_better=self.params.evaluate.greater_is_better,
            study=f"journal://{workdir / 'study.journal'}",
            study_name=candidate,
            score=self.score,
            resource=lambda name: (
                fetch_resource(name, self.settings, workdir / "resources" / name, catalog=self.definition.catalog).folder
            ),
            workdir=workdir,
        )
        return self.project.fit(candidate, own, splits.train, splits.valid, training)

    @cached_property
    def score(self) -> Callable[[Arrays, Arrays], dict[str, float]]:
        return partial(self.project.score, params=validated(self.project.score_params, self.params.score, "score"))

    def predict(self, candidate: str, data: Any) -> Arrays:
        return self.project.predict(self.fits[candidate].model, data)

    # bytes --------------------------------------------------------------------------------------------------------------

    def written(self, codec: Codec[Any], value: Any) -> Path:
        """A value written by a codec to a new path."""
        path = Path(tempfile.mkdtemp(prefix="written-", dir=self.folder)) / "value"
        codec.write(value, path)
        return path

    def data_digest(self, data: Any) -> str:
        return digest_of_path(self.written(self.project.data_codec, data))

    def model_digest(self, model: Any) -> str:
        return digest_of_path(self.written(self.project.model_codec, model))

    def row_digests(self, data: Any) -> list[str]:
        """One digest a row; equal rows have equal ones."""
        return [self.data_digest(self.project.take(data, [row])) for row in range(self.project.count(data))]


def digest_of_path(path: Path) -> str:
    """sha256 of a file, or of a folder's names and files."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    total = hashlib.sha256()
    for file in files:
        total.update(file.relative_to(path).as_posix().encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()
