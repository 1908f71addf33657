"""The pre-flight linter: every rule is shown able to fail, and all faults are told at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import graph, lint
from pipelines.core.discovery import Definition, find_projects
from pipelines.core.graph import Output, Stage


def whats(definition: Definition) -> list[str]:
    return [str(fault) for fault in lint.lint(definition)]


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_toy_and_the_shipped_projects_are_sound(toy: Definition) -> None:
    assert {name: whats(definition) for name, definition in find_projects().items() if whats(definition)} == {}


PARAMS, DEPLOYMENT, MODULE = "params.yaml", "deployment.yaml", "__init__.py"


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        (PARAMS, "trials: 0", "trails: 0", "params.yaml:9: train.trails: unknown key; did you mean 'trials'?"),
        (PARAMS, "linear: {}", "linear: {rigde: 1}", "linear.rigde: unknown key; did you mean 'ridge'?"),
        (PARAMS, "linear: {}", "lnear: {}", "Toy.candidate_params has no schema for it; did you mean 'linear'?"),
        (PARAMS, "linear: {}", "Linear-1: {}", "train.candidates.Linear-1.[key]: string should match pattern"),
        (
            PARAMS,
            "linear: {}",
            "champion: {}",
            "train.candidates.champion: the leaderboard calls the model that serves so; give the candidate another name",
        ),
        (PARAMS, "linear: {}", "truth: {}", "the leaderboard calls what really happened so"),
        (PARAMS, "  full: {}\n", "", "profiles: there is no 'full'; add it"),
        (PARAMS, "full: {}", "full: {gates: {row: 5}}", "gates.row: unknown key; did you mean 'rows'? (profile full)"),
        (PARAMS, "full: {}", "full: {train: {candidates: {extra: {}}}}", "declare it outside the profile too"),
        (PARAMS, "seed: 7\ningest", "seed: 7\nfeatures: {x: 1}\ningest", "features.x: unknown key"),
        (PARAMS, "seed: 7\ningest", "seed: 7\nscore: {x: 1}\ningest", "score.x: unknown key"),
        (
            PARAMS,
            "metric: accuracy",
            "metric: acuracy",
            "evaluate.metric: no metric 'acuracy' in the project's source; did you mean",
        ),
        (PARAMS, "floors: {accuracy: 0.8}", "floors: {brierr: 0.8}", "gates.floors.brierr: no metric 'brierr'"),
        (
            PARAMS,
            "floors: {accuracy: 0.8}",
            "slice_ceilings: {accuracy: 0.8}",
            "params.yaml:17: gates.slice_ceilings.accuracy: greater is better (evaluate.greater_is_better), so this refuses the "
            "best slices; write gates.slices.accuracy",
        ),
        (
            PARAMS,
            "full: {}",
            "full: {evaluate: {metric: brier, greater_is_better: false}, gates: {slices: {brier: 0.1}}}",
            "gates.slices.brier: smaller is better (evaluate.greater_is_better), so this refuses the best slices; "
            "write gates.slice_ceilings.brier (profile full)",
        ),
        (PARAMS, "seed: 7\ningest", "seed: [\ningest", "is not YAML"),
        (DEPLOYMENT, "owner:", "ownr:", "deployment.yaml:1: ownr: unknown key; did you mean 'owner'?"),
        (DEPLOYMENT, "owner: tests\n", "", "owner: missing; it has no default"),
        (
            DEPLOYMENT,
            "@weekly",
            "@wekly",
            "schedule: '@wekly' is not a cron expression (unknown preset; did you mean '@weekly' or '@yearly'?)",
        ),
        (DEPLOYMENT, "0 6 * * *", "0 6 * *", "monitoring: '0 6 * *' is not a cron expression (expected five fields, found 4)"),
        (DEPLOYMENT, "0 6 * * *", "0 66 * * *", "monitoring: '0 66 * * *' is not a cron expression (a field is out of range)"),
        (
            DEPLOYMENT,
            "owner: tests",
            "owner: tests\nprofile: nightly",
            "profile: params.yaml has no 'nightly'; known: 'full', 'sample'",
        ),
        (MODULE, "import numpy as np", "import nunpy as np", "__init__.py:10: cannot be imported: ModuleNotFoundError"),
        (MODULE, "PROJECT = Toy", "PROJECT = (", "cannot be imported: SyntaxError"),
        (MODULE, "PROJECT = Toy", "", "must set PROJECT to its Project class; found None"),
        (MODULE, 'name = "toy"', 'name = "toe"', "name is 'toe', but the folder is 'toy'; use one"),
    ],
)
def test_a_fault_is_named_with_its_place(toy: Definition, file: str, old: str, new: str, fault: str) -> None:
    replace(toy.folder / file, old, new)
    found = whats(toy)
    assert any(fault in one for one in found), found


def test_a_metric_that_resembles_nothing_is_left_to_the_first_scores(toy: Definition) -> None:
    replace(toy.params_file, "floors: {accuracy: 0.8}", "floors: {precision_at_10: 0.8}\n  ceilings: {latency_ms: 5}")
    assert whats(toy) == []


def test_missing_docs(toy: Definition) -> None:
    (toy.folder / "README.md").write_text("  \n")
    module = toy.folder / "__init__.py"
    lines = module.read_text().splitlines()
    assert lines[0].startswith('"""')
    module.write_text("\n".join(lines[1:]) + "\nToy.__doc__ = None\n")
    found = "\n".join(whats(toy))
    assert "README.md: missing or empty; say what is predicted" in found
    assert "neither it nor its class Toy has a docstring; say what it predicts" in found


def test_a_name_that_cannot_be_used(toy: Definition) -> None:
    folder = toy.folder.with_name("Toy-1")
    shutil.copytree(toy.folder, folder)
    assert any("'Toy-1' cannot name a project" in one for one in whats(Definition("Toy-1", folder)))


def test_a_shipped_project_without_its_dag_file(toy: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "SHIPPED", toy.folder.parent)
    assert any("dags/toy.py: missing; without it Airflow does not know the project" in one for one in whats(toy))


def test_a_graph_with_unreachable_artifacts_bodies_and_sections(toy: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Stage("one", "pipelines.stages.ingest:ingst", "", writes=(Output("rows", "json"),), params=("splitt",))
    second = Stage("two", "pipelines.stages.gone:gone", "", reads=("rwos",))
    monkeypatch.setattr(graph, "TRAINING", (first, second))
    found = "\n".join(whats(toy))
    assert "stage 'two' reads 'rwos', which no stage before it writes; did you mean 'rows'?" in found
    assert "has no function 'ingst'; did you mean 'ingest'?" in found
    assert "'pipelines.stages.gone:gone' names no module" in found
    assert "depends on section 'splitt' of params.yaml; did you mean 'split'?" in found


def test_all_faults_are_told_at_once_also_when_the_project_cannot_be_imported(toy: Definition) -> None:
    replace(toy.params_file, "trials: 0", "trails: 0")
    replace(toy.params_file, "bootstrap: 200", "bootstrap: 2")
    replace(toy.folder / "deployment.yaml", "@weekly", "weekly")
    replace(toy.folder / "__init__.py", "import numpy as np", "import nunpy as np")
    (toy.folder / "README.md").unlink()
    found = "\n".join(whats(toy))
    for part in ("train.trails", "evaluate.bootstrap", "schedule", "nunpy", "README.md"):
        assert part in found
    assert len(whats(toy)) == 5


def test_the_command_lists_them_and_exits_1(cli: Any, toy: Definition) -> None:
    assert cli("lint", "toy").code == 0
    replace(toy.params_file, "trials: 0", "trails: 0")
    said = cli("lint", "toy")
    assert said.code == 1
    assert "✗ toy" in said.out
    assert "did you mean 'trials'?" in said.out
    (fault,) = cli("lint", "toy", "--json").json["toy"]
    assert fault == {
        "file": str(toy.params_file),
        "line": 9,
        "what": "train.trails: unknown key; did you mean 'trials'?",
    }


def test_a_broken_project_is_listed_and_harms_no_other(cli: Any, toy: Definition) -> None:
    other = toy.folder.with_name("other")
    shutil.copytree(toy.folder, other)
    (other / "deployment.yaml").write_text("owner: [")
    rows = {row["project"]: row for row in cli("list", "--json").json}
    assert "is not YAML" in rows["other"]["fault"]
    assert rows["toy"]["fault"] is None
    assert rows["toy"]["champion"] is None
    assert json.dumps(rows["toy"]["candidates"]) == '["linear", "centroid"]'
    assert "`pipelines lint other` lists all" in cli("list").out


def test_a_title_is_shown_as_it_stands(cli: Any, toy: Definition) -> None:
    replace(toy.folder / "deployment.yaml", "title: ", "title: 'Tags [/x] and [b]' # ")
    said = cli("list")
    assert said.code == 0, said.err
    assert "Tags [/x] and [b]" in said.out
