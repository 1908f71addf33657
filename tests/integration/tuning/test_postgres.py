"""Searches whose studies are kept in PostgreSQL, as `PIPELINES_STUDY` may ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.contract import Training
from pipelines.core.errors import ConfigError, InfrastructureError
from pipelines.parts.tabular import tuning

pytestmark = pytest.mark.integration


class Search:
    """A search for the top of a parabola, with something done before a trial of choice."""

    def __init__(self, at: int = 0, then: Any = None) -> None:
        self.calls, self.at, self.then = 0, at, then

    def folds(self, values: dict[str, Any]) -> Iterator[float]:
        self.calls += 1
        if self.calls == self.at:
            self.then()
        for fold in range(3):
            yield 1 - (values["x"] - 2) ** 2 + fold / 100

    def run(self, study: str, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        training = Training(
            seed=7,
            trials=6,
            seconds=600,
            metric="roc_auc",
            greater_is_better=True,
            study=study,
            study_name="parabola",
            score=lambda truth, predictions: {},
            progress=lambda done, total, message: None,
            workdir=folder,
        )
        return tuning.search(self.folds, lambda trial: {"x": trial.suggest_float("x", -5, 5)}, {"x": -3.0}, training)


def stop() -> None:
    raise KeyboardInterrupt


def test_a_search_goes_on_where_it_was_killed(postgres: Any, tmp_path: Path) -> None:
    undisturbed = Search().run(f"journal://{tmp_path / 'study'}", tmp_path)[0]
    with pytest.raises(KeyboardInterrupt):
        Search(at=4, then=stop).run(postgres.url, tmp_path)
    resumed = Search()
    best, trials = resumed.run(postgres.url, tmp_path)
    assert best == undisturbed
    assert len(trials) == 6
    assert resumed.calls == 3


def test_a_server_that_goes_down_in_the_middle_and_comes_back(postgres: Any, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"the studies' storage postgresql.* does not answer: .*run again") as caught:
        Search(at=4, then=postgres.stop).run(postgres.url, tmp_path)
    assert "hidden-word" not in str(caught.value)
    with pytest.raises(InfrastructureError, match="does not answer"):
        Search().run(postgres.url, tmp_path)
    postgres.start()
    resumed = Search()
    assert len(resumed.run(postgres.url, tmp_path)[1]) == 6
    assert resumed.calls == 3


@pytest.mark.parametrize("url", ["nonsense", "postgrs://host/studies"])
def test_a_storage_that_is_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the studies' storage is no URL of a database .*expected PIPELINES_STUDY"):
        Search().run(url, tmp_path)
