"""The candidates, and what a prediction is worth.

    logistic   L2-regularised logistic regression: with the features of this project as good as anything
    forest     random forest: looks at the data in another way; the slowest, and the weakest
    xgboost    boosted trees

A mean of logistic and xgboost was tried; it ranks customers no better than logistic alone (README.md).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from pipelines.core.config import Strict
from pipelines.core.contract import Arrays
from pipelines.parts.tabular import metrics
from pipelines.parts.tabular.models import Boosted, Forest, Logistic, Recipe

CANDIDATES: dict[str, type[Recipe]] = {"logistic": Logistic, "forest": Forest, "xgboost": Boosted}


class Score(Strict):
    """What an offer costs and brings, in USD a customer."""

    customer_value: float = Field(600.0, gt=0)
    """Margin lost with a customer who leaves: nine months of the average bill."""
    offer_cost: float = Field(60.0, ge=0)
    """Cost of one retention offer, taken up or not: about one month's bill."""
    offer_success: float = Field(0.4, gt=0, le=1)
    """Share of the customers about to leave whom an offer keeps."""

    METRICS: ClassVar[tuple[str, ...]] = (
        "accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "brier", "ece", "profit",
    )  # fmt: skip

    @property
    def break_even(self) -> float:
        """Probability of leaving above which an offer pays, were the probabilities exact."""
        return self.offer_cost / (self.offer_success * self.customer_value)


def score(truth: Arrays, predictions: Arrays, params: Score) -> dict[str, float]:
    """All metrics. `profit` is USD per customer, against making no offers at all."""
    y = np.asarray(truth["label"])
    p, flagged = np.asarray(predictions["probability"]), np.asarray(predictions["offer"], dtype=bool)
    return {
        **metrics.ranking(y, p),
        **metrics.decisions(y, flagged),
        **metrics.probabilities(y, p),
        "profit": profit(y, flagged, params),
    }


def profit(y: metrics.Vector, flagged: metrics.Vector, params: Score) -> float:
    """Mean over all customers of what the offers bring minus what they cost, USD."""
    if not len(y):
        return metrics.NAN
    saved = params.offer_success * params.customer_value * np.count_nonzero(flagged & (y == 1))
    return float((saved - params.offer_cost * np.count_nonzero(flagged)) / len(y))
