"""The pre-flight linter: everything that is wrong with a project's definition, at once, before anything runs.

A rule is a small function that yields faults; `RULES` lists them. A rule that needs the project's Python says nothing when
that cannot be imported: one fault tells so, with file and line, and the other rules still speak.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pipelines.core import config, graph
from pipelines.core.config import Params, faults_of
from pipelines.core.contract import Project
from pipelines.core.deployment import Deployment, cron_faults
from pipelines.core.discovery import SHIPPED, Definition
from pipelines.core.errors import ConfigError, did_you_mean
from pipelines.core.lint_subject import Fault, Subject, line_of
from pipelines.core.settings import ROOT
from pipelines.core.source_code import missing_body, missing_function, strings

MEASURED = ("latency_ms", "model_mb")
"""What gates may bound beside the project's own metrics."""
RESERVED = {"champion": "the model that serves", "truth": "what really happened"}
"""What stands beside the candidates in leaderboards and predictions, so that none of them may be called so."""


Rule = Callable[[Subject], Iterator[Fault]]


def lint(definition: Definition, overrides: Mapping[str, Any] | None = None) -> list[Fault]:
    """All faults of a project's definition, in the order of the rules; none when it may run."""
    subject = Subject(definition, overrides or {})
    return [fault for rule in RULES for fault in _by(rule, subject)]


def _by(rule: Rule, subject: Subject) -> list[Fault]:
    """What a rule finds. A definition so wrong that the rule cannot judge it is a fault, and the other rules still speak."""
    try:
        return list(rule(subject))
    except Exception as error:
        what = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        return [Fault(subject.folder, None, f"the rule {rule.__name__!r} could not be applied: {what}")]


def refuse_faults(definition: Definition, overrides: Mapping[str, Any] | None = None) -> None:
    """Raises ConfigError that lists all faults of a definition, if there are any."""
    if faults := lint(definition, overrides):
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise ConfigError(
            f"project {definition.name!r} has {count}; mend and run again\n" + "\n".join(f"  - {fault}" for fault in faults)
        )


# rules ------------------------------------------------------------------------------------------------------------------


def name_is_usable(subject: Subject) -> Iterator[Fault]:
    """The folder's name serves everywhere it is used, and the class has the same."""
    if not re.fullmatch(config.Name, subject.definition.name):
        yield Fault(
            subject.folder,
            None,
            f"{subject.definition.name!r} cannot name a project: expected a small letter, then 1 to 40 small letters, digits "
            "or underscores, because it becomes a module, a DAG id and a registered model; rename the folder",
        )
    if subject.project and subject.project.name != subject.definition.name:
        yield Fault(
            subject.module, None, f"name is {subject.project.name!r}, but the folder is {subject.definition.name!r}; use one"
        )


def params_are_valid(subject: Subject) -> Iterator[Fault]:
    """Every profile of params.yaml, against the schema of the platform's own sections."""
    try:
        resolved = subject.resolved
    except ConfigError as error:
        yield Fault.of_file(subject.params_file, error)
        return
    for missing in sorted({"full", "sample"} - set(resolved)):
        line = line_of(subject.params_file, ("profiles",))
        yield Fault(subject.params_file, line, f"profiles: there is no {missing!r}; add it")
    yield from subject.by_profile({name: faults_of(Params, raw) for name, raw in resolved.items()})


def sections_fit_the_project(subject: Subject) -> Iterator[Fault]:
    """`features`, `score` and each candidate against the schemas the project declares."""
    if subject.project:
        project = subject.project
        yield from subject.by_profile({name: _section_faults(project, params) for name, params in subject.params.items()})


def _section_faults(project: Project[Any, Any], params: Params) -> list[config.Fault]:
    sections = [
        (("features",), project.feature_params, params.features),
        (("score",), project.score_params, params.score),
        *(
            (("train", "candidates", name), project.candidate_params[name], given)
            for name, given in params.train.candidates.items()
            if name in project.candidate_params
        ),
    ]
    faults = [
        config.Fault((*place, *fault.place), fault.what)
        for place, schema, given in sections
        for fault in faults_of(schema, given or {})
    ]
    unknown = [name for name in params.train.candidates if name not in project.candidate_params]
    return faults + [
        config.Fault(
            ("train", "candidates", name),
            f"{type(project).__name__}.candidate_params has no schema for it; {did_you_mean(name, project.candidate_params)}",
        )
        for name in unknown
    ]


def profiles_have_the_same_candidates(subject: Subject) -> Iterator[Fault]:
    """DAGs and DVC take the candidates from the file, whatever the profile: a profile or `--set` may tune them, not add or drop
    any.
    """
    try:
        declared = subject.definition.candidates if subject.params else []
    except ConfigError as error:
        yield Fault.of_file(subject.params_file, error)
        return
    what = "declare it outside the profile too, where runners look for candidates"
    found: dict[str, list[config.Fault]] = {}
    for profile, params in subject.params.items():
        given = params.train.candidates
        if dropped := [name for name in declared if name not in given]:
            found.setdefault(profile, []).append(config.Fault(("train", "candidates"), config.left_out(dropped)))
        for name in sorted(set(given) - set(declared)):
            found.setdefault(profile, []).append(config.Fault(("train", "candidates", name), what))
    yield from subject.by_profile(found)


def candidates_have_names_of_their_own(subject: Subject) -> Iterator[Fault]:
    """No candidate is called like what stands beside the candidates."""
    names: dict[str, list[str]] = {}
    for profile, params in subject.params.items():
        for name in sorted(RESERVED.keys() & params.train.candidates):
            names.setdefault(name, []).append(profile)
    for name, profiles in names.items():
        yield subject.in_params(
            ("train", "candidates", name), f"the leaderboard calls {RESERVED[name]} so; give the candidate another name", profiles
        )


def metrics_are_known(subject: Subject) -> Iterator[Fault]:
    """A metric that no source of the project mentions, but for a close match, is a typo better told before the training.

    Which metrics there are shows when the first model is scored; so a name that resembles nothing is let pass here.
    """
    sources: list[str] = []
    found: dict[str, list[config.Fault]] = {}
    for profile, params in subject.params.items():
        places: dict[tuple[str, ...], str] = {("evaluate", "metric"): params.evaluate.metric}
        for section in ("floors", "ceilings", "slices", "slice_ceilings"):
            places |= {("gates", section, name): name for name in getattr(params.gates, section) if name not in MEASURED}
        for place, name in places.items():
            sources = sources or [file.read_text(encoding="utf-8") for file in subject.files.values()]
            if any(f'"{name}"' in source or f"'{name}'" in source for source in sources):
                continue
            if close := get_close_matches(name, strings(sources), n=3, cutoff=0.8):
                what = f"no metric {name!r} in the project's source; {did_you_mean(name, close)}"
                found.setdefault(profile, []).append(config.Fault(place, what))
    yield from subject.by_profile(found)


def simulator_is_there(subject: Subject) -> Iterator[Fault]:
    """A simulator of the project's own can be called by its name."""
    found = {
        profile: [config.Fault(("ingest", "simulator"), what)]
        for profile, params in subject.params.items()
        if params.ingest.simulator and (what := _missing_simulator(subject, params.ingest.simulator))
    }
    yield from subject.by_profile(found)


def _missing_simulator(subject: Subject, path: str) -> str | None:
    """Why there is no such function in the project, found without importing it."""
    module, _, function = path.partition(":")
    own = f"pipelines.projects.{subject.definition.name}"
    if module != own and not module.startswith(f"{own}."):
        return f"{path!r} is of another project; expected one of {own}, whose source decides what is computed again"
    place = subject.folder.joinpath(*module.removeprefix(own).split("."))
    files = [file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()]
    return missing_function(files[0], function) if files else f"{path!r} names no module: {place.with_suffix('.py')} is missing"


def slices_are_bounded_where_they_are_bad(subject: Subject) -> Iterator[Fault]:
    """Of the headline metric it is known which way is better, so a bound that refuses the best slices is told."""
    faults: dict[str, list[config.Fault]] = {}
    for profile, params in subject.params.items():
        metric, greater = params.evaluate.metric, params.evaluate.greater_is_better
        wrong, right = ("slice_ceilings", "slices") if greater else ("slices", "slice_ceilings")
        better = "greater" if greater else "smaller"
        what = f"{better} is better (evaluate.greater_is_better), so this refuses the best slices; write gates.{right}.{metric}"
        faults[profile] = [config.Fault(("gates", wrong, metric), what)] if metric in getattr(params.gates, wrong) else []
    yield from subject.by_profile(faults)


def deployment_is_valid(subject: Subject) -> Iterator[Fault]:
    """Keys, types, cron expressions and the profile of deployment.yaml."""
    file = subject.deployment_file
    try:
        raw = config.read_yaml(file)
    except ConfigError as error:
        yield Fault.of_file(file, error)
        return
    for fault in (*faults_of(Deployment, raw), *cron_faults(raw)):
        yield Fault(file, line_of(file, fault.place), str(fault))
    profile = raw.get("profile", "full")
    if subject.params and profile not in subject.definition.profiles:
        known = did_you_mean(str(profile), subject.definition.profiles)
        yield Fault(file, line_of(file, ("profile",)), f"profile: params.yaml has no {profile!r}; {known}")


def graph_is_sound(_: Subject) -> Iterator[Fault]:
    """Every artifact a stage reads is written before it, and every stage's body and parameters exist."""
    file = Path(graph.__file__)
    for stages in (graph.TRAINING, graph.MONITORING):
        written: set[str] = set()
        for stage in stages:
            for artifact in stage.reads:
                if artifact not in written:
                    known = did_you_mean(artifact, written)
                    yield Fault(file, None, f"stage {stage.name!r} reads {artifact!r}, which no stage before it writes; {known}")
            written |= {output.name for output in stage.writes}
            for section in stage.params:
                if section not in Params.model_fields:
                    known = did_you_mean(section, Params.model_fields)
                    yield Fault(file, None, f"stage {stage.name!r} depends on section {section!r} of params.yaml; {known}")
            if fault := missing_body(stage.body):
                yield Fault(file, None, f"stage {stage.name!r}: {fault}")


def docs_are_there(subject: Subject) -> Iterator[Fault]:
    """A README for people, and a docstring that DAG and model card quote."""
    readme = subject.folder / "README.md"
    try:
        if not readme.is_file() or not readme.read_text(encoding="utf-8").strip():
            yield Fault(readme, None, "missing or empty; say what is predicted, for whom, from which data, and how well")
    except UnicodeDecodeError as error:
        yield Fault(readme, None, f"is not UTF-8 ({error}); save it as UTF-8")
    project = type(subject.project)
    if subject.project and not (vars(project).get("__doc__") or sys.modules[project.__module__].__doc__):
        yield Fault(subject.module, None, f"neither it nor its class {project.__name__} has a docstring; say what it predicts")


def dag_file_is_there(subject: Subject) -> Iterator[Fault]:
    """A project in the checkout has its file in dags/."""
    dag = ROOT / "dags" / f"{subject.definition.name}.py"
    if subject.folder.parent == SHIPPED and not dag.is_file():
        yield Fault(dag, None, "missing; without it Airflow does not know the project; copy one of its neighbours, two lines")


def project_can_be_imported(subject: Subject) -> Iterator[Fault]:
    """The project's Python, with the file and line where it breaks."""
    if isinstance(subject.imported, Fault):
        yield subject.imported


RULES: tuple[Rule, ...] = (
    name_is_usable,
    params_are_valid,
    profiles_have_the_same_candidates,
    candidates_have_names_of_their_own,
    metrics_are_known,
    slices_are_bounded_where_they_are_bad,
    simulator_is_there,
    deployment_is_valid,
    graph_is_sound,
    docs_are_there,
    dag_file_is_there,
    project_can_be_imported,
    sections_fit_the_project,
)
