"""The graph: which stages there are, what each reads and writes. Declared once, here, for every project and runner.

A stage names its artifacts; the edges follow from the names. A stage with ``each="candidate"`` becomes one node per
candidate of the project, and whoever reads its artifacts gets all of them, by candidate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pipelines.core.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Output:
    """An artifact a stage writes. `codec` is a platform codec, or `data` / `model` for the project's own."""

    name: str
    codec: str
    show: Literal["metrics", "artifact", "none"] = "none"
    """What tracking does with it: log its numbers, log it as a file, or nothing."""
    doc: str = ""


@dataclass(frozen=True)
class Stage:
    """One step of the chain. `body` is a function ``(Context) -> {output name: value}``, imported only when it runs."""

    name: str
    body: str
    doc: str
    reads: tuple[str, ...] = ()
    writes: tuple[Output, ...] = ()
    params: tuple[str, ...] = ()
    """Sections of params.yaml it depends on."""
    looks_at: tuple[str, ...] = ()
    """What it reads beside the graph, part of its fingerprint: `as_of`, `own_files` (those of `ingest.path`), `entry`
    (of the data catalog, that `ingest.dataset` names), `resources` (entries that training may ask for), `incumbent`, `champion`."""
    each: Literal["candidate"] | None = None
    group: str = ""
    reuse: bool = True
    """Whether the same inputs may be answered from the store. Not for stages that act on the world outside it."""


@dataclass(frozen=True)
class Node:
    """A stage, or one candidate's copy of it."""

    stage: Stage
    candidate: str | None = None

    @property
    def name(self) -> str:
        """`train-xgboost`, `evaluate`: the name in every runner."""
        return f"{self.stage.name}-{self.candidate}" if self.candidate else self.stage.name


@dataclass(frozen=True)
class Graph:
    """Stages in an order in which each finds what it reads, unrolled for the candidates of one project."""

    name: str
    stages: tuple[Stage, ...]
    candidates: tuple[str, ...]
    _writers: dict[str, Stage] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        writers: dict[str, Stage] = {}
        for stage in self.stages:
            for artifact in stage.reads:
                if artifact not in writers:
                    raise ConfigError(
                        f"stage {stage.name!r} reads {artifact!r}, which no stage before it writes; "
                        f"{did_you_mean(artifact, writers)}"
                    )
            for output in stage.writes:
                if output.name in writers:
                    raise ConfigError(f"{output.name!r} is written by both {writers[output.name].name!r} and {stage.name!r}")
                writers[output.name] = stage
        object.__setattr__(self, "_writers", writers)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in topological order."""
        return tuple(node for stage in self.stages for node in self.nodes_of(stage))

    def nodes_of(self, stage: Stage) -> tuple[Node, ...]:
        """The nodes of one stage: one, or one per candidate."""
        return tuple(Node(stage, c) for c in self.candidates) if stage.each else (Node(stage),)

    def node(self, name: str) -> Node:
        """The node of that name. Raises ConfigError with close matches."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ConfigError(f"there is no stage {name!r} in {self.name}; {did_you_mean(name, [n.name for n in self.nodes])}")

    def writer(self, artifact: str) -> Stage:
        """The stage that writes an artifact. Raises KeyError when none does."""
        return self._writers[artifact]

    def upstream(self, node: Node) -> tuple[Node, ...]:
        """The nodes whose artifacts this one reads."""
        stages = dict.fromkeys(self.writer(artifact) for artifact in node.stage.reads)
        return tuple(parent for stage in stages for parent in self.nodes_of(stage))

    def ancestors(self, names: Iterable[str]) -> tuple[Node, ...]:
        """The named nodes and all they need, in topological order. A stage's name stands for all its nodes."""
        wanted: set[Node] = set()

        def visit(node: Node) -> Iterator[Node]:
            yield node
            for parent in self.upstream(node):
                yield from visit(parent)

        for name in names:
            stages = [stage for stage in self.stages if stage.name == name]
            for node in self.nodes_of(stages[0]) if stages else (self.node(name),):
                wanted.update(visit(node))
        return tuple(node for node in self.nodes if node in wanted)


TRAINING = (
    Stage(
        "ingest",
        "pipelines.stages.ingest:ingest",
        group="data",
        doc="Fetch the raw data as of a date, check their hash and version them with DVC.",
        writes=(
            Output("raw", "folder", doc="The files as the source gave them."),
            Output("snapshot", "json", show="artifact", doc="Source used, hashes, DVC pointer, rows arrived."),
        ),
        params=("seed", "ingest", "replay", "labels_after"),
        looks_at=("as_of", "own_files", "entry"),
    ),
    Stage(
        "validate",
        "pipelines.stages.validate:validate",
        group="data",
        doc="Stop bad data here: schema and expectations, all failures at once; broken rows are set aside up to a share.",
        reads=("raw", "snapshot"),
        writes=(
            Output("cleaned", "data", doc="Rows that passed."),
            Output("validation", "json", show="artifact", doc="Every check with its verdict, counts and examples."),
            Output("data_docs", "folder", show="artifact", doc="The same for people, as HTML, with the quarantined rows."),
        ),
        params=("seed", "replay", "labels_after", "validation"),
    ),
    Stage(
        "features",
        "pipelines.stages.features:features",
        group="features",
        doc="Split first, then engineer features; nothing is fitted on validation or test rows.",
        reads=("cleaned",),
        writes=(
            Output("train", "data"),
            Output("valid", "data"),
            Output("test", "data"),
            Output("feature_report", "json", show="artifact", doc="Rows, columns and what each feature is."),
            Output("exploration", "folder", show="artifact", doc="What the data are like, for people."),
        ),
        params=("seed", "split", "features"),
    ),
    Stage(
        "train",
        "pipelines.stages.train:train",
        group="train",
        each="candidate",
        doc="Tune and fit one candidate on the training rows.",
        reads=("train", "valid"),
        writes=(
            Output("model", "model"),
            Output("fit", "json", show="metrics", doc="Validation scores, chosen parameters, trials, curve."),
        ),
        params=("seed", "train", "score", "evaluate"),
        looks_at=("resources",),
    ),
    Stage(
        "evaluate",
        "pipelines.stages.evaluate:evaluate",
        group="decide",
        doc="Score all candidates and the champion on the same test rows and decide, criterion by criterion.",
        reads=("train", "valid", "test", "model", "fit", "snapshot", "validation"),
        writes=(
            Output("leaderboard", "json", show="metrics", doc="Every candidate's metrics with intervals."),
            Output("predictions", "arrays", doc="Test truths and predictions, row by row."),
            Output("figures", "folder", show="artifact"),
            Output("plots", "folder", doc="The same as numbers, for `dvc plots`."),
            Output("exports", "folder", show="artifact", doc="The winner in the forms it is deployed in."),
            Output("decision", "json", show="artifact", doc="Each criterion, its evidence, its verdict."),
            Output("card", "folder", show="artifact", doc="The model card, HTML."),
        ),
        params=("seed", "score", "evaluate", "gates"),
        looks_at=("incumbent",),
    ),
    Stage(
        "promote",
        "pipelines.stages.promote:promote",
        group="decide",
        reuse=False,
        doc="Carry out the decision: register the version, move the aliases, write the audit entry.",
        reads=("raw", "snapshot", "validation", "test", "model", "leaderboard", "decision", "card"),
        writes=(Output("promotion", "json", show="artifact"),),
    ),
    Stage(
        "baseline",
        "pipelines.stages.baseline:baseline",
        group="decide",
        doc="Freeze rows the champion never learned from as the reference for drift checks.",
        reads=("promotion", "decision", "test", "model"),
        writes=(Output("baseline", "folder", show="artifact", doc="Reference rows and their statistics."),),
        params=("seed", "window", "monitor", "score", "evaluate"),
    ),
)

MONITORING = (
    Stage(
        "collect",
        "pipelines.stages.collect:collect",
        group="monitor",
        doc="Take the newest window of data before `as_of`.",
        writes=(
            Output("window", "data"),
            Output("outcomes", "data", doc="The newest rows whose labels are known."),
            Output("window_info", "json", show="artifact"),
        ),
        params=("seed", "ingest", "replay", "labels_after", "window"),
        looks_at=("as_of", "own_files", "entry", "champion"),
    ),
    Stage(
        "check",
        "pipelines.stages.check:check",
        group="monitor",
        doc="Compare the window with the champion's frozen reference.",
        reads=("window", "outcomes", "window_info"),
        writes=(
            Output("drift", "json", show="metrics", doc="Each channel: statistic, effect, calibrated p-value."),
            Output("drift_report", "folder", show="artifact", doc="The same for people, as HTML."),
        ),
        params=("seed", "window", "monitor", "score", "evaluate", "gates"),
        looks_at=("champion",),
    ),
    Stage(
        "decide",
        "pipelines.stages.decide:decide",
        group="monitor",
        reuse=False,
        doc="Turn the drift report into a verdict, stored beside the champion's history.",
        reads=("drift", "window_info"),
        writes=(Output("verdict", "json", show="artifact"),),
        params=("monitor",),
    ),
)


def training(candidates: Iterable[str]) -> Graph:
    """The chain from raw data to champion, for a project's candidates."""
    return Graph("training", TRAINING, tuple(candidates))


def monitoring(candidates: Iterable[str] = ()) -> Graph:
    """The chain from the newest window to a verdict."""
    return Graph("monitoring", MONITORING, tuple(candidates))
