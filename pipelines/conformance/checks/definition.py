"""What a project declares, before any data are read."""

from __future__ import annotations

import subprocess
import sys

from pipelines.conformance.subject import Subject
from pipelines.conformance.suite import CHECKS, check
from pipelines.core.config import Strict, validated
from pipelines.core.deployment import load_deployment
from pipelines.core.errors import did_you_mean
from pipelines.core.lint import lint
from pipelines.core.settings import ROOT


@check
def definition_is_lint_clean(subject: Subject) -> None:
    """The pre-flight linter finds nothing."""
    faults = lint(subject.definition)
    assert not faults, "; ".join(map(str, faults))


@check
def profiles_are_valid(subject: Subject) -> None:
    """The parameters of every profile fit the platform's and the project's schemas, and `full` and `sample` are there."""
    profiles = subject.definition.profiles
    missing = {"full", "sample"} - set(profiles)
    assert not missing, f"params.yaml has no profile {sorted(missing)}; found {profiles}"
    for profile in profiles:
        params = subject.definition.params(profile)
        validated(subject.project.feature_params, params.features, f"profile {profile}, features")
        validated(subject.project.score_params, params.score, f"profile {profile}, score")
        for name, own in params.train.candidates.items():
            schema = subject.project.candidate_params.get(name)
            assert schema is not None, (
                f"candidate {name!r} has no schema in candidate_params; {did_you_mean(name, subject.project.candidate_params)}"
            )
            assert issubclass(schema, Strict), (
                f"the schema of candidate {name!r} lets unknown keys through; derive it from Strict"
            )
            validated(schema, own, f"profile {profile}, candidate {name}")


@check
def deployment_is_valid(subject: Subject) -> None:
    """deployment.yaml names an owner, crons that are crons, and a profile that exists."""
    deployment = load_deployment(subject.definition.folder / "deployment.yaml")
    assert deployment.profile in subject.definition.profiles, (
        f"deployment.yaml: profile {deployment.profile!r}; {did_you_mean(deployment.profile, subject.definition.profiles)}"
    )


@check
def found_without_import(subject: Subject) -> None:
    """Finding the project and unrolling its graph imports none of its code."""
    program = (
        "import sys; from pipelines.core.discovery import find_project; d = find_project(sys.argv[1]); "
        "d.training.nodes, d.monitoring.nodes, d.deployment; "
        "sys.exit(f'pipelines.projects.{sys.argv[1]}' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, subject.definition.name],
        env=subject.installation("direct"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr or "the project was imported to learn its stages"


@check
def expected_failures_are_known(subject: Subject) -> None:
    """`expected_failures` names checks that exist, each with a reason."""
    for name, reason in subject.project.expected_failures.items():
        assert name in CHECKS, f"expected_failures names {name!r}; {did_you_mean(name, CHECKS)}"
        assert reason.strip(), f"expected_failures gives no reason for {name!r}"
