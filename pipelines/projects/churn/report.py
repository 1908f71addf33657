"""What people see: figures, and the reasons behind one customer's risk in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.core.contract import Evidence
from pipelines.parts.tabular import explain, figures
from pipelines.parts.tabular.fitting import THRESHOLDS
from pipelines.parts.tabular.models import Classifier
from pipelines.projects.churn.checks import FIBRE, PROTECTION, STREAMING
from pipelines.projects.churn.models import Score, profit

EXPLAINED = 400
"""Test rows from which the importance of features is drawn."""

CONCEPTS = {
    "Contract": "contract",
    "InternetService": "internet line",
    "PaymentMethod": "payment",
    "automatic_payment": "payment",
    "PaperlessBilling": "billing",
    "gender": "gender",
    "SeniorCitizen": "age",
    "Partner": "household",
    "Dependents": "household",
    "PhoneService": "telephone",
    "MultipleLines": "telephone",
    **dict.fromkeys(("tenure", "tenure_band", "log_tenure", "newness", "monthly_newness", "monthly_log_tenure"), "time with us"),
    **dict.fromkeys(("MonthlyCharges", "TotalCharges", "log_total", "price_change", "above_list"), "charges"),
    **dict.fromkeys((*PROTECTION, "protection", "fibre_unsupported"), "support and security"),
    **dict.fromkeys((*STREAMING, "streaming"), "streaming"),
    **dict.fromkeys(("fibre_with_lines", "fibre_senior"), "internet line"),
    "services": "number of services",
}
"""Columns that say the same thing in several ways count as one reason."""


def reasons(model: Classifier, data: pd.DataFrame) -> list[list[str]]:
    """Per customer up to three sentences such as "month-to-month contract raises the risk by 12 points"."""
    if data.empty:
        return []
    explanation = explain.explain(model, data).by(CONCEPTS)
    return explain.sentences(explanation, lambda row, concept: phrase(concept, data.iloc[row]))


def phrase(concept: str, customer: Any) -> str:
    """What a concept is for one customer, in words."""
    say = {
        "contract": lambda: f"{str(customer['Contract']).lower()} contract",
        "internet line": lambda: {FIBRE: "fibre line", "DSL": "DSL line"}.get(customer["InternetService"], "no internet line"),
        "payment": lambda: f"paying by {str(customer['PaymentMethod']).lower()}",
        "billing": lambda: "bill by e-mail" if customer["PaperlessBilling"] == "Yes" else "bill on paper",
        "time with us": lambda: f"{int(customer['tenure'])} months with us",
        "charges": lambda: f"charges of ${customer['MonthlyCharges']:.0f} a month",
        "support and security": lambda: _booked(customer, PROTECTION, "support and security"),
        "streaming": lambda: _booked(customer, STREAMING, "streaming"),
        "number of services": lambda: f"{int(customer['services'])} internet services",
        "age": lambda: "being 65 or older" if customer["SeniorCitizen"] == "1" else "being under 65",
        "household": lambda: "living alone" if customer["Partner"] == customer["Dependents"] == "No" else "living with others",
        "telephone": lambda: "no telephone" if customer["PhoneService"] == "No" else "telephone lines",
    }
    return say.get(concept, lambda: concept)()


def _booked(customer: Any, columns: tuple[str, ...], what: str) -> str:
    count = sum(customer[column] == "Yes" for column in columns)
    return f"{count} of {len(columns)} {what} services" if count else f"no {what} services"


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
    prices = Score()
    profits = {n: (THRESHOLDS, np.array([profit(y, p >= t, prices) for t in THRESHOLDS])) for n, p in scores.items()}
    chosen = {name: model.threshold for name, model in evidence.models.items()}
    figures.utility(folder, profits, chosen, "profit per customer, USD")
    some = evidence.data.sample(min(EXPLAINED, len(evidence.data)), random_state=evidence.seed)
    importance = explain.explain(evidence.models[winner], some).by(CONCEPTS).importance()
    figures.importance(folder, importance, winner)
