"""The page that shows a table by split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.config import Split
from pipelines.core.contract import Featured
from pipelines.parts.tabular.exploration import BINS, LEVELS, shape


@pytest.fixture
def featured(project: Any, raw: pd.DataFrame) -> Featured[pd.DataFrame]:
    return project.features(project.split(project.check(raw).data, Split(), 7), None)


def by_split(values: Any) -> dict[str, pd.Series[Any]]:
    column = pd.Series(values)
    return {name: column.iloc[n::3] for n, name in enumerate(("train", "valid", "test"))}


def test_the_page_shows_every_column_the_target_first(project: Any, featured: Featured[pd.DataFrame], tmp_path: Path) -> None:
    project.explore(featured, tmp_path)
    text = (tmp_path / "index.html").read_text()
    places = [text.index(f"<h2>{name}</h2>") for name in ("left", "age", "spend", "plan", "since", "per_year")]
    assert places[0] == min(places)
    assert "<h2>id</h2>" not in text
    assert "years <small>missing: nothing" in text
    assert "<title>basic, train: " in text
    assert "http" not in text.replace("http://www.w3.org", "")


def test_numbers_are_binned_over_the_range_of_all_splits() -> None:
    found = shape(by_split([0.0, 1, 20, np.nan, 2, 3, np.inf, 0, 0]))
    assert len(found.bars) == BINS
    assert (found.bars[0], found.bars[-1]) == ("0 to 1", "19 to 20")
    assert found.shares["test"][-1] == pytest.approx(1 / 3)
    assert found.missing == {"train": pytest.approx(1 / 3), "valid": 0, "test": 0}


def test_rare_levels_share_a_bar() -> None:
    found = shape(by_split([f"level {n % 40:02d}" for n in range(400)]))
    assert len(found.bars) == LEVELS + 1
    assert found.bars[-1] == f"{40 - LEVELS} others"
    assert sum(found.shares["train"]) == pytest.approx(1)


def test_times_are_told_as_dates() -> None:
    found = shape(by_split(pd.date_range("2024-01-01", periods=41, freq="D")))
    assert found.bars[0] == "2024-01-01 to 2024-01-03"


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True), st.integers(-5, 5)), min_size=0, max_size=40))
def test_shares_of_whatever_numbers_there_are(values: list[Any]) -> None:
    found = shape(by_split(pd.Series(values, dtype=float).clip(-1e300, 1e300)))
    for part, of in found.shares.items():
        assert sum(of) == pytest.approx(1) or sum(of) == 0, part
        assert all(0 <= share <= 1 for share in of)


def test_a_level_that_is_html_does_no_harm(project: Any, featured: Featured[pd.DataFrame], tmp_path: Path) -> None:
    featured.splits.train["odd"] = featured.splits.valid["odd"] = featured.splits.test["odd"] = "<script>"
    project.explore(featured, tmp_path)
    assert "<script>" not in (tmp_path / "index.html").read_text()
