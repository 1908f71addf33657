"""Explanations add up to the probability, and equal the shap package's where it can say the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline

from pipelines.parts.tabular import explain
from pipelines.parts.tabular.models import Boosted, Classifier, Forest, Logistic, Recipe, encoded, sigmoid


def table(rows: int = 200) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=rows), "kind": rng.choice(["a", "b"], rows), "noise": rng.normal(size=rows)})
    risk = sigmoid(2 * frame["size"].to_numpy() + (frame["kind"] == "a").to_numpy())
    return frame, (rng.random(rows) < risk).astype(int)


def classifier(recipe: Recipe) -> Classifier:
    frame, y = table()
    model = Classifier(recipe.fit(frame, y, 0), list(frame.columns))
    model.centre = encoded(model.pipeline, frame).mean(axis=0)
    model.slope, model.intercept = 0.8, -0.2
    return model


RECIPES = {"logistic": Logistic(), "forest": Forest(trees=10), "boosted": Boosted(trees=20)}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_values_add_up_to_the_calibrated_probability(recipe: Recipe) -> None:
    model = classifier(recipe)
    frame = table()[0].head(40)
    found = explain.explain(model, frame)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), model.probability(frame), atol=1e-6)
    assert found.importance()[0][0] == "size"


def test_linear_values_equal_the_shap_packages() -> None:
    import shap

    model = classifier(Logistic())
    frame = table()[0]
    x = encoded(model.pipeline, frame)
    estimator = model.pipeline.steps[-1][1]
    ours, base, _ = explain._linear(estimator, x, model.centre)
    theirs = shap.LinearExplainer(estimator, shap.maskers.Independent(x, max_samples=len(x)))
    np.testing.assert_allclose(ours, theirs.shap_values(x), atol=1e-8)
    assert base == pytest.approx(float(np.ravel(theirs.expected_value)[0]))


def test_boosted_values_equal_the_shap_packages() -> None:
    import shap

    model = classifier(Boosted(trees=20))
    x = encoded(model.pipeline, table()[0])
    estimator = model.pipeline.steps[-1][1]
    ours, _, _ = explain._boosted(estimator, x, model.centre)
    np.testing.assert_allclose(ours, shap.TreeExplainer(estimator).shap_values(x), atol=1e-4)


def test_concepts_add_their_columns_up() -> None:
    found = explain.Explanation(("a", "b", "c"), np.array([[0.1, 0.2, -0.3]]), 0.4).by({"a": "ab", "b": "ab"})
    assert found.columns == ("ab", "c")
    np.testing.assert_allclose(found.values, [[0.3, -0.3]])


def test_sentences_are_ordered_by_size_and_leave_out_the_small() -> None:
    found = explain.Explanation(("contract", "age", "bill"), np.array([[0.01, 0.004, -0.25]]), 0.4)
    assert explain.sentences(found, lambda row, name: f"the {name}") == [
        ["the bill lowers the risk by 25 points", "the contract raises the risk by 1 point"]
    ]


def test_an_estimator_of_another_kind_is_named() -> None:
    frame, y = table()
    model = classifier(Logistic())
    model.pipeline = Pipeline([*model.pipeline.steps[:-1], ("model", GaussianNB())]).fit(frame, y)
    with pytest.raises(TypeError, match="no Shapley values for GaussianNB; expected a linear model, XGBoost or a forest"):
        explain.explain(model, frame)
