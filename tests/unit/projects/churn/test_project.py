"""Churn from rows to answers, on simulated customers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.core.config import Params
from pipelines.core.contract import Evidence, Fit, Splits
from pipelines.core.errors import DataError
from pipelines.projects.churn import ChurnProject, FeatureParams, features, models, report

PRICES = models.Score()


def test_every_candidate_beats_chance_by_far_and_pays(
    project: ChurnProject, splits: Splits[pd.DataFrame], fits: dict[str, Fit[Any]], score: Any
) -> None:
    assert set(fits) == set(models.CANDIDATES)
    for candidate, fit in fits.items():
        found = score(project.truth(splits.test), project.predict(fit.model, splits.test))
        assert found["roc_auc"] > 0.72, candidate
        assert found["profit"] > 5, candidate
        assert found["brier"] < 0.19, candidate


def test_the_same_seed_and_rows_give_the_same_bytes(
    project: ChurnProject, fit: Callable[[str], Fit[Any]], fits: dict[str, Fit[Any]], tmp_path: Path
) -> None:
    for candidate in fits:
        project.model_codec.write(fits[candidate].model, tmp_path / f"{candidate}-1")
        project.model_codec.write(fit(candidate).model, tmp_path / f"{candidate}-2")
        one, two = (tmp_path / f"{candidate}-{n}" / "model.skops" for n in (1, 2))
        assert one.read_bytes() == two.read_bytes(), candidate


def test_one_row_and_none(project: ChurnProject, splits: Splits[pd.DataFrame], fits: dict[str, Fit[Any]]) -> None:
    model = fits["logistic"].model
    for rows in (0, 1, 3):
        read = project.read(project.example(splits.test, rows))
        predictions = project.predict(model, read)
        np.testing.assert_array_equal(predictions["probability"], project.predict(model, splits.test.head(rows))["probability"])
        answers = project.answer(model, read, predictions)
        assert len(answers) == rows
        assert all(set(a) == {"customerID", "probability", "offer"} for a in answers)


def test_reasons_are_sentences_about_the_customer(
    project: ChurnProject, splits: Splits[pd.DataFrame], fits: dict[str, Fit[Any]]
) -> None:
    row = {**project.example(splits.test, 1)[0], "Contract": "Month-to-month", "tenure": 1, "TotalCharges": 50.0}
    data = project.read([row])
    for fit in fits.values():
        (reasons,) = project.explain(fit.model, data)
        assert 1 <= len(reasons) <= 3
        words = " ".join(reasons)
        assert "being with us for 1 month raises the risk by" in words or "a month-to-month contract raises the risk" in words


def test_every_concept_has_a_phrase(project: ChurnProject, splits: Splits[pd.DataFrame]) -> None:
    everything = project.read(project.example(splits.test, 60))
    for _, customer in everything.iterrows():
        for concept in set(report.CONCEPTS.values()):
            assert report.phrase(concept, customer) != concept


def test_every_feature_belongs_to_a_concept(project: ChurnProject, splits: Splits[pd.DataFrame]) -> None:
    everything, _ = project.inputs(project.read(project.example(splits.test, 1)).assign(Churn="No"))
    assert set(everything.columns) - {"gender"} <= set(report.CONCEPTS)


def test_offers_follow_the_threshold(project: ChurnProject, splits: Splits[pd.DataFrame], fits: dict[str, Fit[Any]]) -> None:
    for fit in fits.values():
        predictions = project.predict(fit.model, splits.test)
        np.testing.assert_array_equal(predictions["offer"], predictions["probability"] >= fit.params["threshold"])


def test_figures_and_their_numbers(
    project: ChurnProject, splits: Splits[pd.DataFrame], fits: dict[str, Fit[Any]], score: Any, tmp_path: Path
) -> None:
    test = splits.test
    evidence = Evidence(
        data=test,
        truth=project.truth(test),
        predictions={name: project.predict(fit.model, test) for name, fit in fits.items()},
        models={name: fit.model for name, fit in fits.items()},
        winner="xgboost",
        curves={name: fit.curve for name, fit in fits.items()},
        seed=7,
        score=score,
    )
    project.figures(evidence, tmp_path)
    names = {"roc", "precision_recall", "calibration", "confusion", "profit", "shap_importance", "learning_curve"}
    assert {path.stem for path in tmp_path.glob("*.png")} == names
    assert {path.stem for path in (tmp_path / "plots").glob("*.csv")} == names
    assert all(path.stat().st_size < 100_000 for path in tmp_path.rglob("*.*"))
    curve = pd.read_csv(tmp_path / "plots" / "profit.csv")
    fit = fits["logistic"]
    at = curve[(curve.model == "logistic") & np.isclose(curve.threshold, round(fit.params["threshold"], 2))]["profit"]
    expected = score(project.truth(test), project.predict(fit.model, test))["profit"]
    assert at.tolist() == pytest.approx([expected], abs=1.0)


def test_slices_cover_gender_age_and_contract(project: ChurnProject, splits: Splits[pd.DataFrame]) -> None:
    slices = project.slices(splits.test)
    for column, values in (("gender", 2), ("SeniorCitizen", 2), ("Contract", 3)):
        groups = [positions for name, positions in slices.items() if name.startswith(f"{column}=")]
        assert len(groups) == values
        assert sum(map(len, groups)) == len(splits.test)


def test_rows_that_cannot_be_predicted_are_refused(project: ChurnProject, splits: Splits[pd.DataFrame]) -> None:
    (row,) = project.example(splits.test, 1)
    with pytest.raises(DataError, match=r"'Contract': expected one of 'Month-to-month', .* found 'Weekly' in row 0"):
        project.read([{**row, "Contract": "Weekly"}])


def test_the_ablation_is_in_the_report_where_asked_for(project: ChurnProject, cleaned: pd.DataFrame, params: Params) -> None:
    splits = project.split(cleaned.head(400), params.split, 7)
    assert "ablation" not in project.features(splits, FeatureParams()).report
    ablation = project.features(splits, FeatureParams(ablation=True)).report["ablation"]
    assert set(ablation) == {"source columns only", *features.GROUPS}
    assert all(found["low"] <= found["gain"] <= found["high"] for found in (ablation[group] for group in features.GROUPS))


@pytest.mark.parametrize("groups", [(), ("tenure",), tuple(features.GROUPS)])
def test_only_the_groups_asked_for_reach_the_models(
    project: ChurnProject, cleaned: pd.DataFrame, params: Params, groups: Any
) -> None:
    featured = project.features(project.split(cleaned, params.split, 7), FeatureParams(groups=groups))
    engineered = set(featured.splits.train.columns) - set(project.schema.names)
    assert engineered == {column for group in groups for column in features.DOCS[group]}
    assert set(featured.report["columns"]) == set(featured.splits.train.columns)


# what a decision is worth -------------------------------------------------------------------------------------------------


def test_profit_of_known_decisions() -> None:
    y = np.array([1, 1, 0, 0, 0])
    everyone = np.ones(5, dtype=bool)
    assert models.profit(y, everyone, PRICES) == pytest.approx((2 * 0.4 * 600 - 5 * 60) / 5)
    assert models.profit(y, ~everyone, PRICES) == 0
    assert np.isnan(models.profit(np.zeros(0), np.zeros(0, dtype=bool), PRICES))


def test_exact_probabilities_pay_best_at_the_break_even() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(400_000)
    y = (rng.random(p.size) < p).astype(int)
    thresholds = np.arange(0.05, 0.6, 0.05)
    best = thresholds[np.argmax([models.profit(y, p >= t, PRICES) for t in thresholds])]
    assert best == pytest.approx(PRICES.break_even)


def test_scores_hold_every_metric(score: Any) -> None:
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 1409), rng.random(1409)
    found = score({"label": y}, {"probability": p, "offer": p > 0.3})
    assert set(found) == {"accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "brier", "ece", "profit"}
