"""What people see: figures, and the reasons behind one customer's risk in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.core.contract import Evidence
from pipelines.parts.tabular import explain, figures
from pipelines.parts.tabular.fitting import THRESHOLDS
from pipelines.parts.tabular.models import Classifier
from pipelines.projects.churn import features
from pipelines.projects.churn.checks import FIBRE, PROTECTION, STREAMING

EXPLAINED = 400
"""Test rows from which the importance of features is drawn."""

CONCEPTS = {
    "Contract": "contract",
    "InternetService": "internet line",
    "PaymentMethod": "payment",
    "automatic_payment": "payment",
    "PaperlessBilling": "billing",
    "SeniorCitizen": "age",
    "Partner": "household",
    "Dependents": "household",
    **dict.fromkeys(("tenure", *features.DOCS["tenure"], "monthly_newness", "monthly_log_tenure"), "time with us"),
    **dict.fromkeys(("fibre_with_lines", "fibre_senior"), "internet line"),
    **dict.fromkeys((*PROTECTION, "protection", "fibre_unsupported"), "support and security"),
    **dict.fromkeys(("MonthlyCharges", "TotalCharges", *features.DOCS["charges"]), "the bill"),
    **dict.fromkeys(("PhoneService", "MultipleLines", *STREAMING, "services", "streaming"), "the bill"),
}
"""Columns that say the same thing count as one reason. The bill is the sum of the prices of what is booked, to a dollar, so
a model can shift weight between charges and services at will, and only their sum has a meaning."""


def reasons(model: Classifier, data: pd.DataFrame) -> list[list[str]]:
    """Per customer up to three sentences such as "a month-to-month contract raises the risk by 12 points"."""
    if data.empty:
        return []
    explanation = explain.explain(model, data).by(CONCEPTS)
    return explain.sentences(explanation, lambda row, concept: phrase(concept, data.iloc[row]))


def phrase(concept: str, customer: Any) -> str:
    """What a concept is for one customer, as the subject of a sentence."""
    say: dict[str, Callable[[], str]] = {
        "contract": lambda: f"a {str(customer['Contract']).lower()} contract",
        "internet line": lambda: {FIBRE: "a fibre line", "DSL": "a DSL line"}.get(
            customer["InternetService"], "no internet line"
        ),
        "payment": lambda: f"paying by {str(customer['PaymentMethod']).lower()}",
        "billing": lambda: "a bill by e-mail" if customer["PaperlessBilling"] == "Yes" else "a bill on paper",
        "time with us": lambda: _tenure(int(customer["tenure"])),
        "the bill": lambda: f"a bill of ${customer['MonthlyCharges']:.0f} a month for what is booked",
        "support and security": lambda: _protection(customer),
        "age": lambda: "being 65 or older" if customer["SeniorCitizen"] == "1" else "being under 65",
        "household": lambda: "living alone" if customer["Partner"] == customer["Dependents"] == "No" else "living with others",
    }
    return say.get(concept, lambda: concept)()


def _tenure(months: int) -> str:
    return f"being with us for {months} month{'' if months == 1 else 's'}"


def _protection(customer: Any) -> str:
    """Support and security weigh most, so they are named; backup and device protection are only counted."""
    if customer["InternetService"] == "No":
        return "needing no support or security"
    booked = [
        words for column, words in (("TechSupport", "support"), ("OnlineSecurity", "security")) if customer[column] == "Yes"
    ]
    return f"having {' and '.join(booked)}" if booked else "having neither support nor security"


def draw(evidence: Evidence[pd.DataFrame, Classifier], folder: Path) -> None:
    """Every figure of the project into `folder`, its numbers into `folder/plots`."""
    folder.mkdir(parents=True, exist_ok=True)
    y = np.asarray(evidence.truth["label"])
    scores = {name: np.asarray(arrays["probability"]) for name, arrays in evidence.predictions.items()}
    winner = evidence.winner
    figures.roc(folder, y, scores)
    figures.precision_recall(folder, y, scores)
    figures.calibration(folder, y, scores)
    figures.confusion(folder, y, np.asarray(evidence.predictions[winner]["offer"], dtype=bool), ("stays", "leaves"), winner)
    figures.learning_curve(folder, evidence.curves, "ROC-AUC")
    curves = {name: (THRESHOLDS, _profits(evidence, p)) for name, p in scores.items()}
    chosen = {name: model.threshold for name, model in evidence.models.items()}
    figures.utility(folder, curves, chosen, "profit per customer, USD")
    some = evidence.data.sample(min(EXPLAINED, len(evidence.data)), random_state=evidence.seed)
    importance = explain.explain(evidence.models[winner], some).by(CONCEPTS).importance()
    figures.importance(folder, importance, winner)


def _profits(evidence: Evidence[pd.DataFrame, Classifier], probability: Any) -> Any:
    """Profit at each of `THRESHOLDS` under the costs of params.yaml, by the same function that scores."""
    found = (evidence.score(evidence.truth, {"probability": probability, "offer": probability >= t}) for t in THRESHOLDS)
    return np.array([metrics.get("profit", np.nan) for metrics in found])
