"""`dvc` itself on the rendered pipeline of the toy project, in a checkout of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipelines.core.discovery import Definition
from pipelines.core.settings import ROOT, Settings
from pipelines.runners import dvc

pytestmark = pytest.mark.integration

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(toy: Definition, settings: Settings, tmp_path: Path) -> Path:
    """A copy of what git tracks of the platform, under git, whose `dvc.yaml` is the toy's; its params.yaml lies within it."""
    place = tmp_path / "checkout"
    place.mkdir()
    for name in (
        "pipelines",
        ".dvc/config",
        ".dvc/.gitignore",
        ".dvcignore",
        "data/.gitignore",
        "requirements.lock",
        "pyproject.toml",
    ):
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, target)
    shutil.move(toy.folder, place / "own" / "toy")
    code = (
        "from pipelines.core.discovery import find_project\nfrom pipelines.runners import dvc\n"
        "open('dvc.yaml', 'w').write(dvc.render({'toy': find_project('toy')}, 'sample'))"
    )
    run = command(place)
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    for arguments in (("init", "-q"), ("add", "-A"), ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "t")):
        done = run("git", *arguments)
        assert done.returncode == 0, done.stderr
    return place


def command(place: Path) -> Command:
    environment = {**os.environ, "PIPELINES_PROJECTS": str(place / "own"), "NO_COLOR": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment.pop("PYTHONPATH", None)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, timeout=240, check=False)

    return run


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The stages DVC started."""
    return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_way(checkout: Path, settings: Settings) -> None:
    run = command(checkout)
    first = run("dvc", "repro")
    assert first.returncode == 0, first.stdout + first.stderr
    chain = ["ingest", "validate", "features", "train-linear", "train-centroid", "evaluate", "promote", "baseline"]
    assert sorted(ran(first)) == sorted(f"toy-{name}" for name in chain)
    assert json.loads((checkout / "data" / "toy" / "metrics.json").read_text())["linear"]["accuracy"] > 0.8
    _one_run_for_all_stages(settings, chain)
    _dvc_shows_it(run, checkout)
    _nothing_changed_runs_nothing(run)
    _a_gate_reruns_evaluate_and_what_follows(run, checkout)
    _a_failed_candidate_does_not_keep_the_others_waiting(run, checkout)
    _bad_input_stops_the_chain(run, checkout)


def _one_run_for_all_stages(settings: Settings, chain: list[str]) -> None:
    runs = sorted((Path(settings.store) / "runs" / "toy").iterdir())
    assert len(runs) == 1, "every process of one `dvc repro` takes part in one run"
    assert runs[0].name.startswith("dvc-")
    assert sorted(path.stem for path in (runs[0] / "nodes").iterdir()) == sorted(chain)


def _dvc_shows_it(run: Command, checkout: Path) -> None:
    metrics = json.loads(run("dvc", "metrics", "show", "--json").stdout)
    assert "accuracy" in metrics[""]["data"][str(Path("data/toy/metrics.json"))]["data"]["linear"]
    assert "toy-evaluate" in run("dvc", "dag").stdout
    shown = run("dvc", "plots", "show")
    assert shown.returncode == 0, shown.stderr
    page = (checkout / "dvc_plots" / "index.html").read_text()
    assert '"title": "probability"' in page
    assert '"title": "truth"' in page
    status = run("git", "status", "--porcelain", "--untracked-files=all", "--", "data", ".dvc").stdout
    assert status == "?? data/toy/dvc.yaml\n", "results are not for git; what is plotted may be"


def _nothing_changed_runs_nothing(run: Command) -> None:
    """In processor time, so that a busy machine does not decide."""
    start, repro = [], []
    for _ in range(3):
        start.append(_measured(run, "dvc", "version")[1])
        again, seconds = _measured(run, "dvc", "repro")
        assert ran(again) == []
        repro.append(seconds)
    assert min(repro) - min(start) < 2


def _measured(run: Command, *words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    before = os.times()
    done = run(*words)
    after = os.times()
    return done, after.children_user + after.children_system - before.children_user - before.children_system


def _a_gate_reruns_evaluate_and_what_follows(run: Command, checkout: Path) -> None:
    params = checkout / "own" / "toy" / "params.yaml"
    params.write_text(params.read_text().replace("{accuracy: 0.8}", "{accuracy: 0.81}"))
    difference = json.loads(run("dvc", "params", "diff", "--json").stdout)
    changes = {key: (change["old"], change["new"]) for key, change in difference["own/toy/params.yaml"].items()}
    assert changes == {"gates.floors.accuracy": (0.8, 0.81)}
    changed = run("dvc", "repro", "toy-promote")
    assert changed.returncode == 0, changed.stdout + changed.stderr
    assert ran(changed) == ["toy-evaluate", "toy-promote"]
    whole = run("dvc", "repro")
    assert set(ran(whole)) <= {"toy-baseline"}
    assert ran(run("dvc", "repro")) == []


def _a_failed_candidate_does_not_keep_the_others_waiting(run: Command, checkout: Path) -> None:
    params = checkout / "own" / "toy" / "params.yaml"
    right = params.read_text()
    params.write_text(right.replace("linear: {}", "linear: {ridge: much}").replace("trials: 0", "trials: 1"))
    partly = run("dvc", "repro", "--keep-going")
    assert partly.returncode != 0
    assert "ridge" in partly.stderr
    assert sorted(ran(partly)) == ["toy-train-centroid", "toy-train-linear"]
    params.write_text(params.read_text().replace("linear: {ridge: much}", "linear: {}"))
    mended = run("dvc", "repro", "--keep-going")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert ran(mended) == ["toy-train-linear", "toy-promote"], "the same model as before, so nothing is evaluated again"


def _bad_input_stops_the_chain(run: Command, checkout: Path) -> None:
    data = next(
        Path(dep)
        for dep in yaml.safe_load((checkout / "dvc.yaml").read_text())["stages"]["toy-ingest"]["deps"]
        if dep.endswith("toy.csv")
    )
    data.write_text("not,numbers\n")
    stopped = run("dvc", "repro")
    assert stopped.returncode != 0
    assert "toy.csv: expected rows of three numbers" in stopped.stderr
    assert ran(stopped) == ["toy-ingest", "toy-validate"]
    assert "exited with 3" in stopped.stderr


def test_the_committed_file_is_what_the_graph_renders(settings: Settings) -> None:
    from pipelines.core.discovery import find_projects

    assert (ROOT / "dvc.yaml").read_text() == dvc.render(find_projects([])), "run `pipelines render`"
