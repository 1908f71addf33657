"""params.yaml and deployment.yaml: what is wrong is told at once, with a suggestion."""

from __future__ import annotations

import contextlib
import math
import re
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipelines.core.config import (
    Evaluate,
    Gates,
    Ingest,
    Monitor,
    Params,
    Split,
    Train,
    candidates_of,
    load_params,
    parsed,
    profiles_of,
    validated,
)
from pipelines.core.deployment import Deployment, load_deployment
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError

SMALLEST: dict[str, Any] = {
    "ingest": {"dataset": "d"},
    "train": {"candidates": {"one": {}}},
    "evaluate": {"metric": "m"},
    "profiles": {"full": {}},
}


def write(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({**SMALLEST, **changes}))
    return path


def test_profiles_and_overrides_are_laid_over_each_other(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        train={"trials": 9, "candidates": {"one": {"a": 1, "b": 1}}},
        profiles={
            "full": None,
            "sample": {"train": {"trials": 1, "candidates": {"one": {"a": 2}}}},
        },
    )
    assert load_params(path).train.trials == 9
    sample = load_params(path, "sample", {"train.candidates.one.b": 3, "gates.rows": 5})
    assert sample.train.trials == 1
    assert sample.train.candidates == {"one": {"a": 2, "b": 3}}
    assert sample.gates.rows == 5
    assert profiles_of(path) == ["full", "sample"]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, sed=3, split={"tset": 0.2, "valid": 2}, train={"candidates": {}}, evaluate={})
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    message = str(caught.value)
    assert f"{path}: 5 faults" in message
    assert "sed: unknown key; did you mean 'seed'?" in message
    assert "split.tset: unknown key; did you mean 'test'?" in message
    assert "split.valid: input should be less than 1; found 2" in message
    assert "train.candidates: dictionary should have at least 1 item" in message
    assert "evaluate.metric: missing; it has no default" in message


SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("", Params),
    ("ingest", Ingest),
    ("split", Split),
    ("train", Train),
    ("evaluate", Evaluate),
    ("gates", Gates),
    ("monitor", Monitor),
]


@given(st.sampled_from(SECTIONS), st.data())
def test_a_typo_in_any_key_is_refused_and_the_key_suggested(section: tuple[str, type[BaseModel]], data: st.DataObject) -> None:
    place, model = section
    key = data.draw(st.sampled_from(sorted(model.model_fields)))
    position = data.draw(st.integers(0, len(key)))
    typo = key[:position] + data.draw(st.sampled_from(string.ascii_lowercase)) + key[position:]
    assume(typo not in model.model_fields and len(key) > 3)
    tree: dict[str, Any] = {k: v for k, v in SMALLEST.items() if k != "profiles"}
    inner = {**tree.get(place, {}), typo: 1} if place else {**tree, typo: 1}
    with pytest.raises(ConfigError) as caught:
        validated(Params, {**tree, place: inner} if place else inner, "params.yaml")
    assert f"{typo}: unknown key; did you mean" in str(caught.value)
    assert repr(key) in str(caught.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)))
def test_whatever_stands_in_the_file_is_a_config_error_or_fine(content: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        for tree in (content, {**SMALLEST, "train": content}, {**SMALLEST, "profiles": content}, {"profiles": {"full": content}}):
            path.write_text(yaml.safe_dump(tree))
            for read in (load_params, candidates_of, profiles_of, load_deployment):
                with contextlib.suppress(ConfigError):
                    read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("- a", "expected keys and values at the top level, found list"),
        ("", "expected keys and values at the top level, found NoneType"),
        ("profiles: 3", "profiles: expected keys and values, found 3"),
        ("profiles: {full: 3}", "full: expected keys and values, found 3"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_params(path)


def test_a_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"params.yaml is missing; `pipelines new` writes one"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ConfigError, match=r"is not YAML"):
        load_params(tmp_path / "params.yaml")


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    """Of two sections `gates` the second would win, and a model would be promoted that the first had refused."""
    path = write(tmp_path)
    lines = len(path.read_text().splitlines())
    path.write_text(path.read_text() + "gates: {floors: {auc: 0.9}}\nmonitor: {rows: 3, rows: 5}\ngates: {rows: 5}\n")
    expected = (
        rf"params.yaml: 'gates' in line {lines + 3} stands in line {lines + 1} already; 'rows' in line {lines + 2} stands in "
        rf"line {lines + 2} already; of two the last would count, so make one of them"
    )
    with pytest.raises(ConfigError, match=expected):
        load_params(path)
    deployment = tmp_path / "deployment.yaml"
    deployment.write_text("owner: me\ntitle: T\ndescription: D\nowner: you\n")
    with pytest.raises(ConfigError, match=r"deployment.yaml: 'owner' in line 4 stands in line 1 already"):
        load_deployment(deployment)


def test_what_a_section_takes_over_it_may_say_anew() -> None:
    text = "base: &base {a: 1, b: 2}\none: {<<: *base, b: 3}\ntwo: &two\n  <<: *base\n  a: 4\nthree: {<<: [*two, *base]}\n"
    found = parsed(text)
    assert (found["one"], found["two"], found["three"]) == ({"a": 1, "b": 3}, {"a": 4, "b": 2}, {"a": 4, "b": 2})


def test_a_date_that_does_not_exist_is_no_yaml(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text() + "replay: {start: 2025-02-30}\n")
    with pytest.raises(ConfigError, match=r"a value is not what it looks like: day is out of range for month; put quotes"):
        load_params(path)


def test_an_unknown_profile_and_candidate_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, profiles={"full": {}, "bad": {"train": {"candidates": {"two": {}}}}})
    with pytest.raises(ConfigError, match=r"there is no profile 'ful'; did you mean 'full'\?"):
        load_params(path, "ful")
    with pytest.raises(ConfigError, match=r"train.candidates.ones: unknown candidate; did you mean 'one'\?"):
        load_params(path, overrides={"train.candidates.ones.c": 1})
    with pytest.raises(ConfigError, match=r"train.candidates.two: unknown candidate"):
        load_params(path, "bad")


def test_an_override_that_drops_a_candidate_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, train={"candidates": {"one": {}, "two": {}}})
    with pytest.raises(ConfigError, match=r"train.candidates: 'two' is left out; every runner trains all.*NAME.KEY=VALUE"):
        load_params(path, overrides={"train.candidates": {"one": {"c": 1}}})


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("seed", -1, "seed: input should be greater than or equal to 0; found -1"),
        ("seed", 2**31, "seed: input should be less than 2147483648"),
        ("train.seconds", math.inf, "train.seconds: input should be a finite number; found inf"),
        ("gates.floors", {"auc": math.nan}, "gates.floors.auc: input should be a finite number; found nan"),
    ],
)
def test_numbers_that_nothing_can_be_done_with_are_refused(tmp_path: Path, key: str, value: Any, fault: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fault)):
        load_params(write(tmp_path), overrides={key: value})


def test_overrides_cannot_go_below_a_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set seed.x: 'seed' holds a value, not a section"):
        load_params(write(tmp_path, seed=3), overrides={"seed.x": 1})


@pytest.mark.parametrize("name", ["Upper", "1st", "with space", "../up", "x", "a" * 50, "a-b"])
def test_a_candidate_must_have_a_name_that_every_engine_takes(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="string should match pattern"):
        load_params(write(tmp_path, train={"candidates": {name: {}}}))


def test_ingest_must_name_some_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"names no data; give one of dataset \(of the catalog\), path or simulator"):
        load_params(write(tmp_path, ingest={}))


GOOD = {"owner": "me", "title": "T", "description": "D"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ownr": "me"}, "ownr: unknown key; did you mean 'owner'"),
        ({"schedule": "61 * * * *"}, r"schedule: '61 \* \* \* \*' is not a cron expression \(a field is out of range\)"),
        ({"schedule": "* *"}, "expected five fields, found 2"),
        ({"monitoring": "@wekly"}, r"monitoring: '@wekly' is not a cron expression .*did you mean '@weekly'"),
        ({"retry": {"attempts": -1}}, r"retry.attempts: input should be greater than or equal to 0; found -1"),
        ({"retry": {"atempts": 1}}, r"retry.atempts: unknown key; did you mean 'attempts'"),
    ],
)
def test_deployment_faults(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "deployment.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    with pytest.raises(ConfigError, match=message):
        load_deployment(path)


@pytest.mark.parametrize("cron", [None, "@daily", "0 4 * * 1", "*/5 * * * *"])
def test_good_crons(tmp_path: Path, cron: str | None) -> None:
    path = tmp_path / "deployment.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "schedule": cron}))
    assert load_deployment(path).schedule == cron


def test_the_shipped_definitions_have_values(toy: Definition) -> None:
    assert isinstance(toy.deployment, Deployment)
    assert toy.params("sample", {"train.trials": 3}).train.trials == 3
