"""Recipes, imbalance, calibration, threshold and the search, on a small table with a known answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.core.contract import Training
from pipelines.core.errors import ConfigError, DataError
from pipelines.parts.tabular import fitting, imbalance, metrics, tuning
from pipelines.parts.tabular.codecs import Skops
from pipelines.parts.tabular.models import TRUSTED, Boosted, Forest, Logistic, Recipe, logit, sigmoid

RECIPES: dict[str, Recipe] = {"logistic": Logistic(), "forest": Forest(trees=15), "boosted": Boosted(trees=100, rate=0.1)}


def table(rows: int, seed: int = 0) -> tuple[pd.DataFrame, Any]:
    """One in five is positive; `size` and `kind` say which, `noise` nothing. A few cells are missing."""
    rng = np.random.default_rng(seed)
    size, kind = rng.normal(size=rows), rng.choice(["a", "b", "c"], rows)
    y = rng.random(rows) < sigmoid(1.5 * size + 1.5 * (kind == "a") - 2.5)
    frame = pd.DataFrame({"size": size, "kind": kind, "noise": rng.normal(size=rows)})
    frame.loc[:: rows // 5, "size"] = np.nan
    frame.loc[3 :: rows // 4, "kind"] = None
    return frame, y.astype(int)


def score(truth: Any, predictions: Any) -> dict[str, float]:
    y, flagged = truth["label"], predictions["flag"]
    return {**metrics.ranking(y, predictions["p"]), "gain": float((3 * (flagged & (y == 1)) - flagged).mean())}


def arrays(y: Any, p: Any, flag: Any) -> tuple[Any, Any]:
    return {"label": y}, {"p": p, "flag": flag}


def training(**changes: Any) -> Training:
    return replace(Training(7, 0, 60, "roc_auc", True, "", "study", score), **changes)


def fit(recipe: Recipe, **changes: Any) -> Any:
    return fitting.fit_classifier(recipe, table(300), table(200, 1), training(**changes), arrays, "gain")


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_finds_the_signal_and_is_kept_in_the_same_bytes(name: str, tmp_path: Path) -> None:
    codec: Skops = Skops(trusted=TRUSTED)
    for attempt in ("one", "two"):
        codec.write(fit(RECIPES[name]).model, tmp_path / attempt)
    assert (tmp_path / "one/model.skops").read_bytes() == (tmp_path / "two/model.skops").read_bytes()
    frame, y = table(400, 2)
    model = codec.read(tmp_path / "one")
    assert metrics.ranking(y, model.probability(frame))["roc_auc"] > 0.75
    assert model.probability(frame.head(0)).shape == (0,)
    np.testing.assert_array_equal(model.probability(frame)[:1], model.probability(frame.head(1)))


def test_a_category_never_seen_and_a_further_column_are_no_error() -> None:
    model = fit(Logistic()).model
    rows = table(5, 3)[0].assign(kind="new", unknown=1)
    assert np.isfinite(model.probability(rows)).all()


def test_an_ignored_column_changes_nothing() -> None:
    model = fit(Logistic(ignore=("noise",))).model
    frame, _ = table(50, 4)
    assert model.columns == ["size", "kind"]
    np.testing.assert_array_equal(model.probability(frame), model.probability(frame.assign(noise=99.0)))


def test_a_misspelt_ignored_column_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no column 'nois'; did you mean 'noise'"):
        fit(Logistic(ignore=("nois",)))


@pytest.mark.parametrize("how", ["weights", "smotenc"])
def test_balancing_raises_the_rate_of_what_is_predicted_and_leaves_no_sampler(how: str) -> None:
    frame, y = table(300)
    plain = Logistic().fit(frame, y, 0).predict_proba(frame)[:, 1].mean()
    balanced = Logistic(imbalance=how).fit(frame, y, 0)
    assert plain < 0.3 < balanced.predict_proba(frame)[:, 1].mean()
    assert [name for name, _ in balanced.steps] == ["impute", "encode", "model"]


def test_resampling_sees_the_fitted_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sampler is told of the rows of one fold, never of those held out."""
    seen: list[int] = []
    made = imbalance.sampler

    def spy(frame: pd.DataFrame, seed: int) -> Any:
        seen.append(len(frame))
        return made(frame, seed)

    monkeypatch.setattr(imbalance, "sampler", spy)
    fitting.cross_fitted(Logistic(imbalance="smotenc"), *table(200), seed=0)
    assert seen == [150] * fitting.FOLDS


def test_an_unknown_way_to_balance_is_refused() -> None:
    with pytest.raises(ValueError, match=r"none, weights or smotenc; found 'magic'"):
        imbalance.fit(None, *table(10), "magic", 0)  # type: ignore[arg-type]


def test_calibration_undoes_weights() -> None:
    """Class weights inflate probabilities; cross-fitted calibration brings the mean back to the rate."""
    model = fit(Logistic(imbalance="weights")).model
    frame, y = table(2000, 5)
    assert model.raw(frame).mean() > y.mean() + 0.1
    assert abs(model.probability(frame).mean() - y.mean()) < 0.05


def test_calibration_finds_the_sigmoid_that_was_applied() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=20_000)
    y = rng.random(z.size) < sigmoid(0.5 * z - 1)
    slope, intercept = fitting.calibration(sigmoid(z), y)
    assert (slope, intercept) == pytest.approx((0.5, -1.0), abs=0.06)


def test_log_odds_of_0_and_1_are_finite_and_ordered() -> None:
    values = logit(np.array([0.0, 1e-9, 0.5, 1.0]))
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()


def test_the_threshold_is_the_middle_of_the_best_plateau() -> None:
    assert fitting.best_threshold(lambda t: 1.0 if 0.295 < t < 0.405 else 0.0) == pytest.approx(0.35)


def test_the_threshold_pays_best_on_validation_rows() -> None:
    found = fit(Logistic())
    frame, y = table(200, 1)
    p = found.model.probability(frame)
    gains = [score(*arrays(y, p, p >= t))["gain"] for t in fitting.THRESHOLDS]
    assert score(*arrays(y, p, found.model.decide(p)))["gain"] == pytest.approx(max(gains))


def test_the_learning_curve_ends_at_all_rows() -> None:
    curve = fit(Logistic()).curve
    assert [step["rows"] for step in curve] == [60, 120, 210, 300]
    assert all(0.5 < step["valid"] <= 1 for step in curve)


class Search:
    """A search for the top of a parabola, four folds a trial, that can be killed in the middle."""

    def __init__(self, die_at: int | None = None) -> None:
        self.calls = 0
        self.die_at = die_at

    def folds(self, values: dict[str, Any]) -> Iterator[float]:
        self.calls += 1
        if self.calls == self.die_at:
            raise KeyboardInterrupt
        for fold in range(4):
            yield 1 - (values["x"] - 2) ** 2 + fold / 100

    def run(self, **changes: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        return tuning.search(self.folds, lambda trial: {"x": trial.suggest_float("x", -5, 5)}, {"x": -3.0}, training(**changes))


def test_the_search_beats_its_start_is_seeded_and_prunes() -> None:
    best, trials = Search().run(trials=20)
    assert trials[0]["params"] == {"x": -3.0}
    assert abs(best["x"] - 2) < 1
    assert {trial["state"] for trial in trials} == {"complete", "pruned"}
    assert Search().run(trials=20) == (best, trials)
    assert Search().run(trials=20, seed=8)[1] != trials


@pytest.mark.parametrize("scheme", ["journal://", "sqlite:///"])
def test_a_killed_search_goes_on_to_the_same_result(scheme: str, tmp_path: Path) -> None:
    undisturbed, _ = Search().run(trials=8)
    url = f"{scheme}{tmp_path / 'study'}"
    for die_at in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            Search(die_at).run(trials=8, study=url)
    resumed = Search()
    best, trials = resumed.run(trials=8, study=url)
    assert best == undisturbed
    assert len(trials) == 8
    assert resumed.calls == 5


def test_time_bounds_the_search_but_one_trial_is_made() -> None:
    _, trials = Search().run(trials=50, seconds=0.0)
    assert len(trials) == 1


def test_progress_is_told_after_each_trial() -> None:
    told: list[tuple[int, int, str]] = []
    Search().run(trials=3, progress=lambda *step: told.append(step))
    assert [step[:2] for step in told] == [(1, 3), (2, 3), (3, 3)]
    assert told[0][2].startswith("best roc_auc ")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_tuning_stays_within_the_recipes_fields(recipe: Recipe) -> None:
    best, trials = fitting.tuned(recipe, *table(120), training(trials=2), lambda y, p: metrics.ranking(y, p)["roc_auc"])
    assert isinstance(best, type(recipe))
    assert len(trials) == 2


def test_a_base_recipe_has_no_estimator_and_cannot_be_made() -> None:
    with pytest.raises(TypeError, match=r"abstract methods? .*estimator.*space"):
        Recipe()  # type: ignore[abstract]


@pytest.mark.parametrize("ones", [0, 1, 11, 12])
def test_training_rows_of_one_class_are_told_as_such(ones: int) -> None:
    frame, _ = table(12)
    rows = (frame, np.repeat([1, 0], [ones, 12 - ones]))
    message = rf"12 training rows hold {12 - ones} of the one class and {ones} of the other; expected at least two of each"
    with pytest.raises(DataError, match=message):
        fitting.fit_classifier(Logistic(), rows, table(200, 1), training(), arrays, "gain")
