"""Planted secrets are nowhere in what a run writes and says, also when a project repeats them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.core.config import load_params
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError
from pipelines.core.scrub import scrub
from pipelines.core.settings import ROOT
from tests import planted


def pipelines(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pipelines", *arguments]
    told = subprocess.run(command, env=os.environ, cwd=ROOT, capture_output=True, text=True, timeout=300)
    return told.returncode, told.stdout + told.stderr


@pytest.fixture
def talkative(toy: Definition, monkeypatch: pytest.MonkeyPatch, free_port: int) -> Definition:
    """A toy that repeats every secret it can see, in an environment full of them."""
    folder = toy.folder.with_name("talkative")
    shutil.copytree(toy.folder, folder)
    (folder / "__init__.py").write_text(planted.TALKATIVE)
    for name, value in planted.environment(free_port).items():
        monkeypatch.setenv(name, value)
    return Definition("talkative", folder)


@pytest.mark.slow
def test_what_a_failed_and_a_good_run_write_holds_no_secret(talkative: Definition, tmp_path: Path) -> None:
    code, failed = pipelines("run", "talkative", "--profile", "sample")
    assert code == 4, failed
    ours = failed.partition("✗")[2]  # before that stands what the project itself has printed to the terminal
    assert "refused: [" in ours
    code, good = pipelines("run", "talkative", "--profile", "sample")
    assert code == 0, good
    assert planted.found([tmp_path], ours, good) == {}
    assert planted.found([tmp_path], os.environ["TEAM_API_KEY"]) == {planted.WORDS["TEAM_API_KEY"]: ["what was said"]}


def as_arrays(word: str, path: Path) -> None:
    with path.open("wb") as stream:
        np.savez_compressed(stream, notes=np.array([word] * 50))


def as_table(word: str, path: Path) -> None:
    pd.DataFrame({"note": [f"{row} {word}" for row in range(500)]}).to_parquet(path, compression="gzip", write_statistics=False)


def as_member(word: str, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("notes.txt", f"{word} " * 50)


@pytest.mark.parametrize("written", [as_arrays, as_table, as_member])
def test_a_planted_word_is_found_in_what_is_packed(written: Callable[[str, Path], None], tmp_path: Path) -> None:
    path, word = tmp_path / "0a1b2c", planted.WORDS["TEAM_API_KEY"]  # as the store names an artifact
    written(word, path)
    assert word.encode() not in path.read_bytes()
    assert planted.found([tmp_path]) == {word: [str(path)]}


@pytest.mark.parametrize(
    "asked",
    [
        "ingest.password=planted2TeamKey",
        "features.api_key=planted2TeamKey",
        "train.candidates.linear.access_key=planted2TeamKey",
        "ingest.path=https://ada:planted2TeamKey@host/file",
        "features={token: planted2TeamKey}",
    ],
)
def test_a_secret_is_no_parameter(toy: Definition, tmp_path: Path, asked: str) -> None:
    code, said = pipelines("run", "toy", "--profile", "sample", "--set", asked)
    assert code == 2, said
    assert "looks like a secret" in said
    assert planted.found([tmp_path], said) == {}


def test_words_that_are_none_stay_parameters(toy: Definition) -> None:
    with pytest.raises(ConfigError, match="unknown key"):  # and not that it were a secret
        load_params(toy.params_file, "sample", {"ingest.max_tokens": 512, "ingest.tokenizer": "words"})


def test_an_unexpected_error_is_told_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    from pipelines.cli.failures import tell

    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path))
    monkeypatch.setenv("TEAM_API_KEY", "planted2TeamKey")
    assert tell(RuntimeError("it said planted2TeamKey"), debug=True) == 70
    said = "".join(capsys.readouterr())  # type: ignore[attr-defined]
    assert "it said ***" in said
    assert list(tmp_path.rglob("traceback-*.txt"))
    assert planted.found([tmp_path], said) == {}


def test_a_password_in_any_url_of_the_environment_is_masked_alone(free_port: int) -> None:
    env = planted.environment(free_port, "mirror:80")
    for name, word in planted.WORDS.items():
        if name in env:
            assert scrub(f"refused {word}!", env) == "refused ***!"
