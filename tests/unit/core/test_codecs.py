"""Codecs: equal values give equal bytes, and what is not theirs is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipelines.core.codecs import codec, load_object
from pipelines.core.errors import ConfigError, DataError
from pipelines.core.validation import Check, Report

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(plain)
def test_json_round_trips_with_equal_bytes(value: object) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one", Path(folder) / "other"
        codec("json").write(value, one)
        codec("json").write(codec("json").read(one), other)
        assert codec("json").read(one) == value
        assert one.read_bytes() == other.read_bytes()


def test_json_writes_models_and_ignores_the_order_of_keys(tmp_path: Path) -> None:
    class Pair(BaseModel):
        b: int
        a: int

    codec("json").write(Pair(b=2, a=1), tmp_path / "model")
    codec("json").write({"a": 1, "b": 2}, tmp_path / "plain")
    assert (tmp_path / "model").read_bytes() == (tmp_path / "plain").read_bytes()


def test_json_that_was_cut_off_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "cut").write_text('{"a": ')
    with pytest.raises(DataError, match=r"is not JSON: .* was cut off"):
        codec("json").read(tmp_path / "cut")


def test_text_and_folders(tmp_path: Path) -> None:
    codec("text").write("Grüße", tmp_path / "text")
    assert codec("text").read(tmp_path / "text") == "Grüße"
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("a")
    codec("folder").write(source, tmp_path / "copy")
    codec("folder").write(source / "a", tmp_path / "one file")
    assert (codec("folder").read(tmp_path / "copy") / "a").read_text() == "a"
    assert (tmp_path / "one file").read_text() == "a"


def test_arrays_are_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    arrays = {"x": np.arange(6.0).reshape(3, 2), "words": np.array(["a", "bb"], dtype=object)}
    codec("arrays").write(arrays, tmp_path / "one.npz")
    codec("arrays").write(dict(reversed(arrays.items())), tmp_path / "other.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
    back = codec("arrays").read(tmp_path / "one.npz")
    assert np.array_equal(back["x"], arrays["x"])
    assert back["words"].tolist() == ["a", "bb"]


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"there is no codec 'jsn'; did you mean 'json'"):
        codec("jsn")
    with pytest.raises(ConfigError, match=r"module 'pipelines.core.codecs' has no 'Jsn'"):
        load_object("pipelines.core.codecs:Jsn")


def test_a_check_says_column_rule_count_and_examples() -> None:
    row = Check(tool="t", column="age", rule="is at least 0", level="row", failures=1200, examples=("row 3: -1",))
    table = Check(tool="t", column=None, rule="has 10 rows or more", level="table", failures=1)
    assert row.sentence() == "column 'age': is at least 0: 1,200 rows (e.g. row 3: -1)"
    assert table.sentence() == "the data set: has 10 rows or more: not so"
    good = Check(tool="t", column=None, rule="r", level="table", failures=0)
    assert Report(rows=1, checks=(row, good)).failed == (row,)
