"""What a project says in params.yaml, and how YAML is read: how it is operated stands in `deployment.py`.

Unknown keys are errors with a suggestion, and all errors of a file are told at once.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.core.errors import ConfigError, did_you_mean
from pipelines.core.scrub import refuse_secrets

Name = r"^[a-z][a-z0-9_]{1,40}$"
"""What projects and candidates may be called: it becomes a module, a DAG id, a DVC target and a registered model."""


class Strict(BaseModel):
    """Base of everything read from YAML: unknown keys are refused, and numbers that JSON, in which runs are remembered, cannot say."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Fault(NamedTuple):
    """One thing wrong with a file of settings."""

    place: tuple[str | int, ...]
    """The keys that lead there."""
    what: str

    def __str__(self) -> str:
        return f"{'.'.join(str(part) for part in self.place)}: {self.what}"


M = TypeVar("M", bound=BaseModel)


# params.yaml ------------------------------------------------------------------------------------------------------------


class Ingest(Strict):
    """Where the data come from."""

    dataset: str | None = None
    """Entry of the data catalog."""
    source: Literal["url", "mirror", "package", "simulator"] | None = None
    """Take this source only, instead of the first that answers."""
    path: str | None = None
    """A file or folder of one's own in place of the catalog; its hash is recorded, not checked."""
    simulator: str | None = None
    """A simulator of the project's own in place of the catalog, 'pipelines.projects.<name>.<module>:<function>'; it is called
    like the catalog's, and every result says that the data are simulated."""
    rows: int = Field(1000, gt=0)
    """Rows the project's own simulator makes."""
    drift: dict[str, float] = Field(default_factory=dict)
    """Drift the simulator plants, by name; see the project's simulator."""

    @model_validator(mode="after")
    def _has_a_source(self) -> Ingest:
        if not (self.dataset or self.path or self.simulator):
            raise ValueError("names no data; give one of dataset (of the catalog), path or simulator")
        return self

    @field_validator("simulator")
    @classmethod
    def _is_a_projects_own(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"pipelines\.projects(\.\w+)+:\w+", value):
            raise ValueError("expected a function of the project's own, 'pipelines.projects.<name>.<module>:<function>'")
        return value


class Replay(Strict):
    """Rows of a static data set arrive over time: a backlog at `start`, the rest evenly over `weeks`."""

    start: date
    weeks: int = Field(gt=0)
    backlog: float = Field(0.5, ge=0, lt=1)
    """Share of the rows that is there at the start."""
    order: Literal["shuffled", "file"] = "shuffled"
    """Rows arrive in an order drawn by the seed, or as they stand in the file, which must then be by time."""


class Validation(Strict):
    """How much bad data is tolerated."""

    quarantine: float = Field(0.01, ge=0, le=1)
    """Largest share of rows that may be set aside for breaking row-level rules; beyond it the run stops."""


class Split(Strict):
    """Shares of the rows; what is left trains."""

    valid: float = Field(0.2, gt=0, lt=1)
    test: float = Field(0.2, gt=0, lt=1)
    rows: int | None = Field(None, gt=0)
    """Most rows that are used, drawn by the seed before anything is split: for quick profiles. None: all."""

    @model_validator(mode="after")
    def _leaves_some_to_train(self) -> Split:
        if self.valid + self.test >= 1:
            raise ValueError(f"valid and test take {self.valid + self.test:g} of the rows; expected less than 1, the rest trains")
        return self


class Train(Strict):
    """Candidates and the budget to tune each of them."""

    candidates: dict[Annotated[str, Field(pattern=Name)], dict[str, Any]] = Field(min_length=1)
    """Name to the project's own parameters for it; declared here so that DAGs know them without importing the project."""
    trials: int = Field(20, ge=0)
    """Optuna trials per candidate; 0 trains with the given parameters."""
    seconds: float = Field(600, gt=0)
    """Wall time after which no new trial starts."""


class Evaluate(Strict):
    """How candidates are compared."""

    metric: str
    """The headline metric: it ranks the leaderboard and is compared with the champion's."""
    greater_is_better: bool = True
    bootstrap: int = Field(1000, ge=100)
    """Resamples for intervals and for the paired comparison."""
    confidence: float = Field(0.95, gt=0.5, lt=1)


class Gates(Strict):
    """What a challenger must show before it is promoted. Bounds hold for the point estimate unless said."""

    floors: dict[str, float] = Field(default_factory=dict)
    """Metric to smallest accepted value."""
    ceilings: dict[str, float] = Field(default_factory=dict)
    """Metric to largest accepted value; also `latency_ms` (one row, median) and `model_mb`."""
    not_worse_by: float = Field(0.0, ge=0)
    """Largest accepted loss in the headline metric against the champion, at the lower end of the paired interval."""
    slices: dict[str, float] = Field(default_factory=dict)
    """Metric to the floor it must reach on every slice that is large enough to judge; for metrics of which more is better."""
    slice_ceilings: dict[str, float] = Field(default_factory=dict)
    """Metric to the ceiling it must keep below on every slice that is large enough to judge; for errors."""
    slice_rows: int = Field(50, gt=0)
    """Slices with fewer test rows are shown and not judged. A bound for slices of which none is judged refuses."""
    rows: int = Field(1, gt=0)
    """Fewest training rows."""


class Quality(Strict):
    """From where on the data of a window are called broken rather than drifted; plain thresholds, no statistics."""

    volume: float = Field(0.5, gt=0, le=1)
    """Smallest share of the usual number of rows; more than the usual number divided by it is as wrong. The usual number is that of
    the four windows before. Differences that chance makes (four deviations of a Poisson count) pass."""
    stale_days: float = Field(7.0, gt=0)
    """Most days between the newest row and the end of the window, where rows carry a time."""
    new_values: float = Field(0.01, ge=0, le=1)
    """Largest share of rows with a value of a categorical column that the reference has never seen."""


class Monitor(Strict):
    """How drift is judged."""

    false_alarm_rate: float = Field(0.02, gt=0, le=0.2)
    """Alarms per window when nothing has changed, at most, over all channels and a champion's windows together: 0.02 is one in 50
    windows on average, about one in a year of weeks. `effect` makes them rarer, in large windows far rarer."""
    resamples: int = Field(500, ge=100)
    """Windows drawn from the reference at each size to learn what no drift looks like; twice as many references are drawn to learn
    how often the chart alarms."""
    effect: float = Field(0.05, ge=0)
    """Smallest effect worth an alarm: stability index less its expectation without drift. 0.05 is a shift of 0.22 standard
    deviations; the customary 0.1 misses a third of shifts of 0.3 in 3 of 30 columns at 200 rows, where this sees 92 %."""
    rows: int = Field(50, gt=0)
    """Windows with fewer rows are too small to judge."""
    season: float = Field(0, ge=0)
    """Days after which the data come round again, such as 365.25 or 7: windows are then compared with the reference's rows of the
    same part of the season alone. It takes test rows from all of a season, with their times (`Project.times`). 0: none."""
    quality: Quality = Quality()


class Params(Strict):
    """All of params.yaml, a profile applied. `features`, `score` and each candidate belong to the project."""

    seed: int = Field(7, ge=0, lt=2**31)
    """Of everything that is drawn."""
    ingest: Ingest
    replay: Replay | None = None
    labels_after: int = Field(0, ge=0)
    """Weeks from a row until its label is known. Rows younger than this train no model; monitoring judges labels and performance
    on the newest window that is so old."""
    window: int = Field(1, gt=0)
    """Weeks in one monitoring window."""
    validation: Validation = Validation()
    split: Split = Split()
    features: dict[str, Any] = Field(default_factory=dict)
    train: Train
    score: dict[str, Any] = Field(default_factory=dict)
    evaluate: Evaluate
    gates: Gates = Gates()
    monitor: Monitor = Monitor()


def load_params(path: Path, profile: str = "full", overrides: Mapping[str, Any] | None = None) -> Params:
    """Read params.yaml, apply a profile, then dotted overrides such as ``{"train.trials": 5}``.

    Raises ConfigError that names every unknown key and wrong type at once, or the unknown profile, or a candidate that is unknown or
    left out.
    """
    params = validated(Params, resolve_params(path, profile, overrides), str(path))
    declared = candidates_of(path)
    if added := [name for name in params.train.candidates if name not in declared]:
        raise ConfigError(
            f"{path}: train.candidates.{added[0]}: unknown candidate; {did_you_mean(added[0], declared)} "
            "(candidates are declared outside profiles and overrides, so that every runner knows them)"
        )
    if dropped := [name for name in declared if name not in params.train.candidates]:
        raise ConfigError(f"{path}: train.candidates: {left_out(dropped)}")
    return params


def resolve_params(path: Path, profile: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """params.yaml with a profile and overrides applied, as plain values not yet checked."""
    raw = read_yaml(path)
    profiles = _section(raw, "profiles", path)
    raw.pop("profiles", None)
    if profile not in profiles:
        raise ConfigError(f"{path}: there is no profile {profile!r}; {did_you_mean(profile, map(str, profiles))}")
    merged = _merge(raw, _section(profiles, profile, path))
    refuse_secrets(overrides or {})
    for dotted, value in (overrides or {}).items():
        _set(merged, dotted, value, path)
    return merged


def left_out(dropped: Sequence[str]) -> str:
    """Why these candidates must not be missing, and what to write."""
    names = ", ".join(map(repr, dropped))
    return (
        f"{names} {'is' if len(dropped) == 1 else 'are'} left out; every runner trains all that params.yaml declares, so set what is "
        "to change by its own key, such as train.candidates.NAME.KEY=VALUE, or delete the candidate from the file"
    )


def profiles_of(path: Path) -> list[str]:
    """Names of the profiles, in alphabetical order. Raises ConfigError when the file cannot be read."""
    return sorted(map(str, _section(read_yaml(path), "profiles", path)))


def candidates_of(path: Path) -> list[str]:
    """Names of the candidates, in the order of params.yaml."""
    return [str(name) for name in _section(_section(read_yaml(path), "train", path), "candidates", path)]


# shared -----------------------------------------------------------------------------------------------------------------


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises ConfigError with line and column when it does not."""
    try:
        content = copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))  # callers change what they get
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; `pipelines new` writes one to start from") from None
    except Repeated as error:
        raise ConfigError(f"{path}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values at the top level, found {type(content).__name__}")
    return content


def parsed(text: str) -> Any:
    """What YAML text says. Raises yaml.YAMLError; Repeated, which is one, for keys that stand twice in one section."""
    loader = _Loader(text)
    try:
        content = loader.get_single_data()
    except ValueError as error:  # a date or number that looks like one and is none, such as 2025-02-30
        raise yaml.YAMLError(f"a value is not what it looks like: {error}; put quotes around it if it is text") from None
    finally:
        loader.dispose()
    if loader.repeated:
        raise Repeated("; ".join(loader.repeated) + "; of two the last would count, so make one of them")
    return content


class Repeated(yaml.YAMLError):
    """Keys that stand twice in one section. YAML forbids it, and its readers keep the last without a word."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, in C where there is one, that notes keys that stand twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.repeated: list[str] = []
        self._seen: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Called with each section before it is read. Afterwards it also has the keys it takes over by `<<`, which it may say
        anew, and it can come by again."""
        if id(node) not in self._seen:
            self._seen.add(id(node))
            lines: dict[tuple[str, str], int] = {}
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                known, line = lines.get((key.tag, key.value)), key.start_mark.line + 1
                if known:
                    self.repeated.append(f"{key.value!r} in line {line} stands in line {known} already")
                lines[key.tag, key.value] = line
        super().flatten_mapping(node)


_parsed = lru_cache(maxsize=512)(parsed)
"""A task asks five times for what stands in two small files."""


def _section(tree: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    """A mapping inside a YAML file; empty when it is left out."""
    section = tree.get(key)
    if section is not None and not isinstance(section, Mapping):
        raise ConfigError(f"{path}: {key}: expected keys and values, found {section!r}")
    return section or {}


def validated(model: type[M], data: Mapping[str, Any], where: str) -> M:
    """An instance of `model`, or one ConfigError that lists every fault with its place and a suggestion."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(listing(where, _faults(model, error))) from None


def faults_of(model: type[BaseModel], data: Any) -> list[Fault]:
    """Every way in which `data` is no instance of `model`; none when it is one."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        return _faults(model, error)
    return []


def listing(where: str, faults: Sequence[Fault]) -> str:
    """Every fault of a file, a line each."""
    return f"{where}: {len(faults)} fault{'s' if len(faults) > 1 else ''}\n" + "\n".join(f"  - {fault}" for fault in faults)


def _faults(model: type[BaseModel], error: ValidationError) -> list[Fault]:
    return [Fault(one["loc"], _sentence(model, dict(one))) for one in error.errors()]


def _sentence(model: type[BaseModel], error: dict[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown key; {did_you_mean(str(error['loc'][-1]), _fields(model, error['loc'][:-1]))}"
    if error["type"] == "missing":
        return "missing; it has no default"
    return f"{error['msg'][0].lower()}{error['msg'][1:]}; found {error['input']!r}"


def _fields(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """Names of the fields at a place inside a model, for suggestions."""
    for part in location:
        field = model.model_fields.get(str(part))
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        nested = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else copy.deepcopy(value)
    return merged


def _set(tree: dict[str, Any], dotted: str, value: Any, path: Path) -> None:
    *parents, leaf = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {dotted}: {parent!r} holds a value, not a section, in {path}")
    tree[leaf] = value
