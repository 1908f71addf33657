"""Which customers of a telephone company are about to leave, and to whom an offer pays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipelines.core.config import Strict
from pipelines.core.contract import Arrays, Evidence, Featured, Fit, Splits, Training
from pipelines.parts.tabular.codecs import Skops
from pipelines.parts.tabular.models import TRUSTED, Classifier, Logistic
from pipelines.parts.tabular.project import TabularProject
from pipelines.projects.churn import features, models
from pipelines.projects.churn.checks import SCHEMA


class FeatureParams(Strict):
    """The `features` section of params.yaml."""

    groups: tuple[Literal["tenure", "services", "charges", "support", "contract"], ...] = ("support", "contract")
    """Which groups of engineered columns there are."""
    ablation: bool = False
    """Whether the feature report says what each group is worth on the training rows (half a minute)."""


class ChurnProject(TabularProject[Classifier]):
    """Telco customer churn: a binary classifier with a price on each decision."""

    name = "churn"
    schema = SCHEMA
    files = ("*.csv",)
    slice_by = ("gender", "SeniorCitizen", "Contract")
    model_codec = Skops(trusted=TRUSTED)
    feature_params = FeatureParams
    score_params = models.Score
    candidate_params = models.CANDIDATES

    def engineer(self, rows: pd.DataFrame) -> pd.DataFrame:
        return features.engineer(rows)

    def feature_docs(self) -> Mapping[str, str]:
        return {name: doc for group in features.DOCS.values() for name, doc in group.items()}

    def features(self, splits: Splits[pd.DataFrame], params: FeatureParams) -> Featured[pd.DataFrame]:
        """All groups are engineered, for the ablation and for `read`; those not asked for leave the splits here."""
        featured = super().features(splits, params)
        parts = featured.splits
        kept = [part.drop(columns=features.left_out(params.groups)) for part in (parts.train, parts.valid, parts.test)]
        columns = {name: about for name, about in featured.report["columns"].items() if name in kept[0].columns}
        return Featured(Splits(*kept), {**featured.report, "columns": columns})

    def feature_report(self, splits: Splits[pd.DataFrame], params: FeatureParams) -> dict[str, Any]:
        if not params.ablation:
            return {}
        from pipelines.projects.churn.ablation import worth

        return {"ablation": worth(Logistic(), *self.inputs(splits.train), groups=features.GROUPS, seed=0)}

    def fit(self, candidate: str, params: Any, train: pd.DataFrame, valid: pd.DataFrame, training: Training) -> Fit[Classifier]:
        from pipelines.parts.tabular.fitting import fit_classifier

        return fit_classifier(params, self.inputs(train), self.inputs(valid), training, arrays=_arrays, utility="profit")

    def predict(self, model: Classifier, data: pd.DataFrame) -> Arrays:
        probability = model.probability(data)
        return {"probability": probability, "offer": model.decide(probability)}

    def score(self, truth: Arrays, predictions: Arrays, params: models.Score) -> dict[str, float]:
        return models.score(truth, predictions, params)

    def figures(self, evidence: Evidence[pd.DataFrame, Classifier], folder: Path) -> None:
        from pipelines.projects.churn.report import draw

        draw(evidence, folder)

    def explain(self, model: Classifier, data: pd.DataFrame) -> list[list[str]]:
        """What raises and lowers each customer's risk, in words and points."""
        from pipelines.projects.churn.report import reasons

        return reasons(model, data)

    def inputs(self, data: pd.DataFrame) -> tuple[pd.DataFrame, Any]:
        """What models may see, and the labels."""
        unseen = [name for name in (*self.schema.ids, self.schema.target) if name in data.columns]
        return data.drop(columns=unseen), np.asarray(self.truth(data)["label"])


def _arrays(y: Any, probability: Any, offer: Any) -> tuple[Arrays, Arrays]:
    return {"label": y}, {"probability": probability, "offer": offer}


PROJECT = ChurnProject
