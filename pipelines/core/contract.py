"""What a project must say. The platform never looks inside its data or its models.

A project is a class over its own `Data` (a table, a set of images, …) and `Model`. `parts/` implements most of it for the
common kinds (`TabularProject`, …), so that a project's folder holds only what is its own.

Arrays are numpy arrays whose first axis is the row; a row is whatever is scored as one: a customer, an image, a sentence.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pipelines.core.codecs import Codec
from pipelines.core.config import Split, Strict
from pipelines.core.errors import ConfigError
from pipelines.core.evidence import Criterion
from pipelines.core.validation import Report

Data = TypeVar("Data")
Model = TypeVar("Model")

Arrays = Mapping[str, Any]
"""Named numpy arrays of one length, rows first."""


@dataclass(frozen=True)
class Window:
    """The span of data a run may see. Data with timestamps filter by `start` and `end`; static data by `positions`."""

    start: datetime | None
    """None: from the beginning."""
    end: datetime
    """Nothing at or after this instant is read."""
    positions: Callable[[int], Any] = range
    """Given the number of rows in a static data set, the positions of those that arrived within the window."""


@dataclass(frozen=True)
class Checked(Generic[Data]):
    """What validation found."""

    data: Data
    """The rows that broke no row-level rule."""
    report: Report
    docs: Path
    """A folder with the same for people; index.html is its first page."""


@dataclass(frozen=True)
class Splits(Generic[Data]):
    """Three disjoint sets of rows. `test` is touched once, by the evaluate stage."""

    train: Data
    valid: Data
    test: Data


@dataclass(frozen=True)
class Featured(Generic[Data]):
    """Splits with features, and a description of them for people."""

    splits: Splits[Data]
    report: dict[str, Any] = field(default_factory=dict)


def _no_resource(name: str) -> Path:
    raise ConfigError(f"resource {name!r} is asked for where there is no data catalog; call `fit` as the train stage does")


@dataclass(frozen=True)
class Training:
    """What `fit` may use beside the data."""

    seed: int
    trials: int
    """Tuning trials; 0 fits with the given parameters."""
    seconds: float
    """Wall time after which no new trial starts."""
    metric: str
    greater_is_better: bool
    study: str
    """URL of the Optuna storage, so that a killed search resumes."""
    study_name: str
    score: Callable[[Arrays, Arrays], dict[str, float]]
    """`Project.score` with the project's parameters filled in."""
    progress: Callable[[int, int, str], None] = lambda done, total, message: None
    resource: Callable[[str], Path] = _no_resource
    """A folder with the files of an entry of the data catalog, such as published weights: from the same sources as data sets,
    sha256 checked. Raises ConfigError for an unknown entry and InfrastructureError when no source can be reached."""
    workdir: Path = Path()
    """A folder for checkpoints that outlives a killed process; the same for the same inputs."""


@dataclass(frozen=True)
class Fit(Generic[Model]):
    """A fitted candidate and how it came about."""

    model: Model
    params: dict[str, Any] = field(default_factory=dict)
    """Parameters chosen, tuned or given."""
    trials: list[dict[str, Any]] = field(default_factory=list)
    """One entry a trial: number, value, state, params."""
    curve: list[dict[str, float]] = field(default_factory=list)
    """Learning curve or epochs: one entry a step. `seconds` and what ends in `_per_second` are the run's own time, and no part of what
    `pipelines reproduce` compares."""


@dataclass(frozen=True)
class Evidence(Generic[Data, Model]):
    """All that figures and exports are made from, test rows only."""

    data: Data
    truth: Arrays
    predictions: Mapping[str, Arrays]
    """By candidate; the champion's under `champion` when there is one."""
    models: Mapping[str, Model]
    winner: str
    curves: Mapping[str, list[dict[str, float]]]
    seed: int
    score: Callable[[Arrays, Arrays], dict[str, float]] = lambda truth, predictions: {}
    """`Project.score` with the project's parameters filled in, for curves over thresholds."""


def sample(project: Project[Data, Any], data: Data, params: Split, seed: int) -> Data:
    """At most `params.rows` rows, drawn by the seed, in the order they had; all of them when nothing is said."""
    rows = project.count(data)
    if params.rows is None or rows <= params.rows:
        return data
    return project.take(data, sorted(random.Random(f"{seed} sample").sample(range(rows), params.rows)))  # noqa: S311


class NoProbe(Exception):
    """A kind of data does not offer this hook: the check that asked for it is skipped."""


class Probes(Generic[Data]):
    """What the conformance suite must know of a kind of data to try to break a project. Each kind overrides what it can;
    a check whose hook is not overridden is skipped and says so.
    """

    def relabel(self, data: Data, order: Sequence[int]) -> Data:
        """The same rows, row i with the label of row ``order[i]``."""
        raise NoProbe

    def inputs(self, data: Data) -> Mapping[str, Any]:
        """Each input on its own, by name, rows first: what a model may look at."""
        raise NoProbe

    def label(self, data: Data) -> Any:
        """The label, rows first."""
        raise NoProbe

    def broken_rows(self, rows: Any) -> Mapping[str, Any]:
        """What is wrong, to such rows made from good ones of `example`: `read` must refuse each with a DataError."""
        raise NoProbe


class Project(ABC, Generic[Data, Model]):
    """One project: one data type, one registered model. Subclasses say what is their own."""

    name: ClassVar[str]
    data_codec: Codec[Data]
    model_codec: Codec[Model]
    feature_params: ClassVar[type[Strict]] = Strict
    """Schema of the `features` section of params.yaml."""
    score_params: ClassVar[type[Strict]] = Strict
    """Schema of the `score` section."""
    candidate_params: ClassVar[Mapping[str, type[Strict]]] = {}
    """Schema of each entry of `train.candidates`, by candidate."""
    tolerance: ClassVar[float] = 1e-6
    """Largest relative difference between two predictions of one row, made in the company of other rows. Networks in single
    precision state 1e-4: the order in which they add depends on the size of the batch."""
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Conformance checks this project does not pass, each with the reason. One that passes after all is a failure."""

    # data ---------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def load(self, raw: Path, window: Window) -> Data:
        """Read the raw files. Raises DataError for what cannot be read; judging what was read is `check`'s."""

    @abstractmethod
    def read(self, rows: Any) -> Data:
        """Rows as a caller of the deployed model has them, without labels, made ready for `predict`.

        Raises DataError that names what is missing or of the wrong type. No rows is fine.
        """

    @abstractmethod
    def check(self, data: Data) -> Checked[Data]:
        """Judge a snapshot: every rule, all failures at once."""

    @abstractmethod
    def split(self, data: Data, params: Split, seed: int) -> Splits[Data]:
        """Disjoint sets that respect time and groups where the data have them."""

    @abstractmethod
    def features(self, splits: Splits[Data], params: Any) -> Featured[Data]:
        """Engineer features; whatever is fitted is fitted on `splits.train` only."""

    @abstractmethod
    def count(self, data: Data) -> int:
        """Number of rows."""

    @abstractmethod
    def take(self, data: Data, positions: Sequence[int]) -> Data:
        """The rows at these positions, in this order."""

    def explore(self, featured: Featured[Data], folder: Path) -> None:
        """Pages and figures of what the data are like, after the split; index.html is the first. Nothing unless the project
        has something to show.
        """

    # models -------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def fit(self, candidate: str, params: Any, train: Data, valid: Data, training: Training) -> Fit[Model]:
        """Tune and fit one candidate. Deterministic for one seed."""

    @abstractmethod
    def predict(self, model: Model, data: Data) -> Arrays:
        """Predictions, rows first."""

    @abstractmethod
    def truth(self, data: Data) -> Arrays:
        """What predictions are scored against, and per-row context that scoring needs, rows first."""

    @abstractmethod
    def score(self, truth: Arrays, predictions: Arrays, params: Any) -> dict[str, float]:
        """Every metric on these rows; called a thousand times by the bootstrap, so keep it quick."""

    # for people ---------------------------------------------------------------------------------------------------------

    @abstractmethod
    def answer(self, model: Model, data: Data, predictions: Arrays) -> list[dict[str, Any]]:
        """One plain dictionary a row: what `pipelines predict` prints and the deployed model returns."""

    def explain(self, model: Model, data: Data) -> list[list[str]]:
        """Why each row is predicted as it is: reasons in plain words, strongest first; none unless the project has some.

        Kept apart from `answer` because it may cost a thousand times as much.
        """
        return [[] for _ in range(self.count(data))]

    @abstractmethod
    def example(self, data: Data, rows: int) -> Any:
        """The first rows as a caller would send them to `read`."""

    @abstractmethod
    def slices(self, data: Data) -> Mapping[str, Sequence[int]]:
        """Groups to be judged on their own: 'contract=Two year' to the positions of its rows."""

    def units(self, data: Data) -> Sequence[Any] | None:
        """What each row belongs to, one label a row, where rows depend on each other: a customer, a household, a week. Intervals
        are then drawn in whole units, for so many rows of a few customers say no more than the customers do. None: each row is
        on its own.
        """
        return None

    @abstractmethod
    def figures(self, evidence: Evidence[Data, Model], folder: Path) -> None:
        """Draw PNG figures into `folder`, and numbers for `dvc plots` as CSV under `folder/plots`."""

    def export(self, evidence: Evidence[Data, Model], folder: Path) -> Sequence[Criterion]:
        """Write the winner into `folder` in the forms it is deployed in, and return what these must show before it is
        promoted: each criterion is judged here, with its evidence, and joins the decision. Nothing unless the project has any.
        """
        return ()

    @abstractmethod
    def watch(self, model: Model, data: Data) -> Arrays:
        """What monitoring looks at, rows first: numeric channels as floats, categorical ones as strings."""

    def labelled(self, data: Data) -> Data:
        """Of a window as `load` gives it, the rows whose label is known, ready for `predict` and `truth`. None unless the
        project says how to tell: then neither labels nor performance are watched.
        """
        return self.take(data, [])

    def times(self, data: Data) -> Any:
        """When each row is from: a numpy array of seconds since 1970 in UTC, NaN where that is unknown. None where rows carry no
        time.
        """
        return None

    def permuted(self, data: Data, channel: str, order: Sequence[int]) -> Data | None:
        """Featured rows of which row i has, in one watched column, the value of row ``order[i]``; None where `channel` is nothing
        that could be changed alone. It shows how much the champion rests on the column.
        """
        return None

    # for the conformance suite ------------------------------------------------------------------------------------------

    def probes(self) -> Probes[Data]:
        """How to break data of this kind."""
        return Probes()
