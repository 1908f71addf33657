"""`pipelines run` on the toy, without MLflow: what it says, what it refuses, and its exit codes."""

from __future__ import annotations

import fcntl
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.locks import lock_file
from pipelines.cli.run import parse_overrides
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError
from pipelines.core.settings import Settings

TO_EVALUATE = ("run", "toy", "--profile", "sample", "--no-track", "--stage", "evaluate")


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_document_has_its_keys_and_nothing_else_is_on_stdout(cli: Any, toy: Definition) -> None:
    said = cli(*TO_EVALUATE, "--json")
    assert said.code == 0
    document = said.json
    assert set(document) == {
        *("project", "title", "run", "chain", "runner", "profile", "as_of", "overrides", "seconds", "stages", "data"),
        *("validation", "features", "leaderboard", "decision", "promotion", "window", "drift", "verdict", "baseline"),
        *("champion", "links"),
    }
    assert [stage["stage"] for stage in document["stages"]] == [
        *("ingest", "validate", "features", "train-linear", "train-centroid", "evaluate")
    ]
    assert document["data"]["source"] == "path"
    assert document["leaderboard"]["scores"][0]["metrics"]["accuracy"]["low"] > 0.5
    assert document["decision"]["promote"] is True
    assert document["promotion"] is None
    assert Path(document["links"]["card"]).is_file()
    assert "1/6 ingest" in said.err


def test_the_second_time_everything_is_reused(cli: Any, toy: Definition) -> None:
    cli(*TO_EVALUATE)
    said = cli(*TO_EVALUATE)
    assert said.code == 0
    assert "6 stages, 6 reused" in said.out
    assert said.err.count("reused") == 6
    fresh = cli(*TO_EVALUATE, "--fresh")
    assert "6 stages, 0 reused" in fresh.out


def test_a_person_reads_source_hash_validation_leaderboard_and_gate(cli: Any, toy: Definition) -> None:
    out = cli(*TO_EVALUATE).out
    for pattern in (
        r"Toy · sample · as of \d{4}-\d\d-\d\d",
        r"own files from path: .*toy\.csv",
        r"toy\.csv  sha256 [0-9a-f]{16}…",
        r"✓ 600 rows; 1 of 1 checks passed \(toy\); 0 rows set aside",
        r"120 test rows +★ linear +2 centroid",
        r"accuracy +0\.\d{4} \.\d{3}–\.\d{3}",
        r"✓ +floor: accuracy +at least 0\.8",
        r"Champion +none yet",
        r"model card +/.*index\.html",
    ):
        assert re.search(pattern, out), pattern


def test_a_stage_stops_there(cli: Any, toy: Definition) -> None:
    said = cli("run", "toy", "--profile", "sample", "--no-track", "--stage", "features", "--json")
    assert [stage["stage"] for stage in said.json["stages"]] == ["ingest", "validate", "features"]
    assert said.json["features"] == {"columns": ["x0", "x1"]}
    assert said.json["decision"] is None


def test_a_refused_gate_is_exit_1_with_the_criteria(cli: Any, toy: Definition) -> None:
    said = cli(*TO_EVALUATE, "--set", "gates.floors={accuracy: 0.999}", "--set", "gates.rows=10000")
    assert said.code == 1
    assert "linear failed: training rows, floor: accuracy; there is no champion yet" in said.out
    assert re.search(r"✗ +floor: accuracy +at least 0\.999", said.out)
    assert cli(*TO_EVALUATE, "--set", "gates.rows=10000", "--json").json["decision"]["promote"] is False


def test_bad_data_is_exit_3_and_points_to_the_evidence(cli: Any, toy: Definition, tmp_path: Path) -> None:
    broken = tmp_path / "toy.csv"
    lines = broken.read_text().splitlines()
    broken.write_text("\n".join(["nan,1,1"] * 300 + lines[300:]) + "\n")
    said = cli(*TO_EVALUATE)
    assert said.code == 3
    assert "column 'x': is finite: 300 rows" in said.err
    page = Path(re.search(r"data docs: (.*)", said.err)[1])  # type: ignore[index]
    assert "is finite" in page.read_text()
    assert said.out == ""
    assert cli(*TO_EVALUATE, "--json").json["error"]["type"] == "DataError"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "evalute"], "there is no stage 'evalute' in training; did you mean 'evaluate'"),
        (["--stage", "train-liner"], "did you mean 'train-linear'"),
        (["--profile", "smaple"], "there is no profile 'smaple'; did you mean 'sample'?"),
        (["--as-of", "2999-01-01"], "as_of is 2999-01-01 00:00 UTC, which is in the future"),
        (["--as-of", "yesterday"], "as_of is 'yesterday'; expected a date such as 2026-01-31"),
        (["--set", "train.trails=3"], "train.trails: unknown key; did you mean 'trials'?"),
        (["--set", "train.trials=many"], "train.trials: input should be a valid integer"),
        (["--set", "train.trials"], "--set 'train.trials': expected KEY=VALUE, such as --set train.trials=5"),
        (["--set", "gates.floors={a"], "the value is not YAML"),
        (["--set", "gates.floors={a: 1, a: 2}"], "stands in line 1 already"),
        (["--set", "seed.x=1"], "--set seed.x: 'seed' holds a value, not a section"),
        (["--set", "seed=-1"], "seed: input should be greater than or equal to 0; found -1"),
        (["--set", "train.seconds=.inf"], "train.seconds: input should be a finite number; found inf"),
        (["--set", "train.candidates.linear.ridge=.nan"], "linear.ridge: input should be a finite number; found nan"),
        (["--set", "train.candidates={linear: {}}"], "train.candidates: 'centroid' is left out; every runner trains all"),
        (["--set", "train.candidates.lnear={}"], "has no schema for it; did you mean 'linear'?"),
        (["--set", "train.candidates.linear.rigde=1"], "train.candidates.linear.rigde: unknown key; did you mean 'ridge'?"),
    ],
)
def test_wrong_use_is_exit_2_and_says_what_to_do(cli: Any, toy: Definition, arguments: list[str], message: str) -> None:
    said = cli("run", "toy", "--no-track", *arguments)
    assert said.code == 2
    assert message in said.err
    assert said.out == ""
    error = cli("run", "toy", "--no-track", *arguments, "--json").json["error"]
    assert message in error["message"]
    assert error["exit_code"] == 2


def test_a_typo_in_params_stops_the_run_before_anything_is_done(cli: Any, toy: Definition, settings: Settings) -> None:
    replace(toy.params_file, "trials: 0", "trails: 0")
    replace(toy.folder / "deployment.yaml", "owner:", "ownr:")
    said = cli(*TO_EVALUATE)
    assert said.code == 2
    assert f"{toy.params_file}:9: train.trails: unknown key; did you mean 'trials'?" in said.err
    assert "ownr: unknown key; did you mean 'owner'?" in said.err
    assert not settings.home.joinpath("store", "ledger").exists()


def test_a_store_that_cannot_be_written_is_exit_4(cli: Any, toy: Definition, settings: Settings) -> None:
    settings.home.mkdir(exist_ok=True)
    (settings.home / "store").write_text("a file where a folder is needed")
    said = cli(*TO_EVALUATE)
    assert said.code == 4
    assert "a file stands where a folder is needed" in said.err


def test_two_runs_of_one_project(cli: Any, toy: Definition, settings: Settings) -> None:
    file = lock_file(settings, "toy")
    file.parent.mkdir(parents=True)
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        json.dump({"pid": os.getpid(), "run": "run-1", "since": "2026-01-01T10:00:00+00:00"}, stream)
        stream.flush()
        said = cli(*TO_EVALUATE)
        assert said.code == 4
        assert f"toy is being run by process {os.getpid()} (run-1, since 10:00:00 UTC); wait for it with --wait" in said.err
    assert cli(*TO_EVALUATE).code == 0, "a lock without a holder stops nobody"


def test_waiting_for_another_run(cli: Any, toy: Definition, settings: Settings) -> None:
    import threading

    file = lock_file(settings, "toy")
    file.parent.mkdir(parents=True)
    stream = file.open("w")
    fcntl.flock(stream, fcntl.LOCK_EX)
    threading.Timer(1.0, stream.close).start()
    said = cli(*TO_EVALUATE, "--wait")
    assert said.code == 0
    assert "waiting: toy is being run by another process" in said.err


def test_a_terminal_shows_each_stage_live(cli: Any, toy: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = cli(*TO_EVALUATE)
    assert said.code == 0
    for name in ("ingest", "train-linear", "evaluate"):
        assert re.search(rf"✓.{{0,12}} {name}", said.err), name
    assert "reused" in cli(*TO_EVALUATE).err
    (tmp_path / "toy.csv").write_text("nonsense\n")
    assert "stopped" in cli(*TO_EVALUATE).err


def test_overrides_are_yaml() -> None:
    assert parse_overrides(["a.b=[1, x]", "c=", "d='5'"]) == {"a.b": [1, "x"], "c": None, "d": "5"}
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        parse_overrides(["=5"])


def test_without_a_champion_there_is_no_drift_reference_to_speak_of(cli: Any, toy: Definition) -> None:
    """The last stage leaves a note in its place, which is none."""
    run = ("run", "toy", "--profile", "sample", "--set", "gates.floors={accuracy: 0.999}")
    said = cli(*run)
    assert said.code == 1, said.err
    assert "Baseline" not in said.out
    assert cli(*run, "--json").json["baseline"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "2999-01-01"], "--to is 2999-01-01 00:00 UTC, which is in the future; give a past date with --to"),
        (["--from", "2025-03-01", "--to", "2025-02-01"], "--from is 2025-03-01 00:00 UTC, after the end, 2025-02-01 00:00 UTC"),
    ],
)
def test_a_span_that_cannot_be_rehearsed_is_told_before_anything_is_run(
    cli: Any, toy: Definition, settings: Settings, arguments: list[str], message: str
) -> None:
    said = cli("policies", "toy", *arguments)
    assert said.code == 2
    assert message in said.err
    assert not (settings.home / "store").exists()


def test_a_replay_that_has_not_ended_needs_an_end(cli: Any, toy: Definition) -> None:
    replace(toy.params_file, "weeks: 20", "weeks: 2000")
    said = cli("policies", "toy")
    assert said.code == 2
    assert "without --to, the end of the replay is" in said.err
    assert "which is in the future; give a past date with --to" in said.err
