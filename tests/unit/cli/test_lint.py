"""The pre-flight linter: every rule is shown able to fail, and all faults are told at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.doctor import examined
from pipelines.core import graph, lint
from pipelines.core.discovery import Definition, find_projects
from pipelines.core.graph import Output, Stage
from pipelines.core.lint_subject import Fault, Subject
from pipelines.core.settings import Settings


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
        (PARAMS, "replay:\n", "  simulator: os:system\nreplay:\n", "ingest.simulator: value error, expected a function of the"),
        (PARAMS, "replay:\n", "  simulator: pipelines.projects.toy.gone:draw\nreplay:\n", "toy/gone.py is missing"),
        (PARAMS, "replay:\n", "  simulator: pipelines.projects.toy:draw\nreplay:\n", "toy/__init__.py has no function 'draw'"),
        (
            PARAMS,
            "replay:\n",
            "  simulator: pipelines.projects.churn.simulator:draw\nreplay:\n",
            "is of another project; expected",
        ),
        (PARAMS, "train:\n", "split: {valid: 0.6, test: 0.4}\ntrain:\n", "split: value error, valid and test take 1 of the rows"),
        (DEPLOYMENT, "description: Which", 'description: " "  # Which', "description: value error, expected some text"),
        (DEPLOYMENT, "tags: [test]", f"tags: [{'t' * 101}]", "tags.0: string should have at most 100 characters"),
        (DEPLOYMENT, "tags: [test]", f"system: {'t' * 101}", "system: string should have at most 100 characters"),
        (DEPLOYMENT, "tags: [test]", "retry: {delay: -PT1S}", "retry.delay: input should be greater than or equal to 0 seconds"),
        (
            DEPLOYMENT,
            "tags: [test]",
            "retry: {longest: -PT1S}",
            "retry.longest: input should be greater than or equal to 0 seconds",
        ),
        (
            DEPLOYMENT,
            "tags: [test]",
            "retraining: {cooldown: -P1D}",
            "cooldown: input should be greater than or equal to 0 seconds",
        ),
        (DEPLOYMENT, "tags: [test]", "approval: {within: PT0S}", "approval.within: input should be greater than 0 seconds"),
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


def test_a_fault_of_all_profiles_is_told_once(toy: Definition) -> None:
    replace(toy.params_file, "floors: {accuracy: 0.8}", "floors: {brierr: 0.8}")
    replace(toy.params_file, "  full: {}\n", "  full: {}\n  small: {gates: {ceilings: {brierr: 1}}}\n")
    assert [one.rpartition("params.yaml:")[2] for one in whats(toy)] == [
        "17: gates.floors.brierr: no metric 'brierr' in the project's source; did you mean 'brier'?",
        "22: gates.ceilings.brierr: no metric 'brierr' in the project's source; did you mean 'brier'? (profile small)",
    ]


def test_a_simulator_that_is_imported_is_there(toy: Definition) -> None:
    replace(toy.params_file, "replay:\n", "  simulator: pipelines.projects.toy.drawn:draw\nreplay:\n")
    (toy.folder / "drawn.py").write_text("from somewhere import paint as draw\n")
    assert whats(toy) == []


def test_a_readme_in_another_encoding(toy: Definition) -> None:
    (toy.folder / "README.md").write_bytes("Größe".encode("latin-1"))
    assert any("README.md: is not UTF-8 ('utf-8' codec can't decode byte" in one for one in whats(toy))


def test_a_missing_file_is_named_once(toy: Definition) -> None:
    (toy.folder / "deployment.yaml").unlink()
    assert f"{toy.folder}/deployment.yaml: is missing; `pipelines new` writes one to start from" in whats(toy)


def test_candidates_as_a_list_are_one_projects_fault_and_harm_no_other(cli: Any, toy: Definition) -> None:
    other = toy.folder.with_name("other")
    shutil.copytree(toy.folder, other)
    replace(other / "params.yaml", "    linear: {}\n    centroid: {}\n", "    [linear, centroid]\n")
    replace(other / "params.yaml", "  full: {}\n", "  full: {train: {candidates: {linear: {}}}}\n")
    found = cli("lint", "--json").json
    assert found["toy"] == []
    assert any("candidates: expected keys and values, found ['linear', 'centroid']" in fault["what"] for fault in found["other"])
    told = {one.what for one in examined(Settings.load(), mend=False) if one.name == "projects"}
    assert "toy is sound" in told
    assert any(what.startswith("other: ") and "`pipelines lint other` lists them" in what for what in told)


def test_a_rule_that_breaks_down_is_a_fault_and_the_others_still_speak(toy: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(subject: Subject) -> Iterator[Fault]:
        raise ZeroDivisionError("nobody foresaw this")

    replace(toy.folder / "deployment.yaml", "owner:", "ownr:")
    monkeypatch.setattr(lint, "RULES", (broken, *lint.RULES))
    found = whats(toy)
    assert f"{toy.folder}: the rule 'broken' could not be applied: ZeroDivisionError: nobody foresaw this" in found
    assert any("ownr: unknown key" in one for one in found)


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
