"""Features of one customer, in groups, each computed from that customer's row alone.

Nothing is fitted here, so nothing can leak; what is fitted (imputing, scaling, encoding) lives in each candidate's
pipeline. What each group is worth: `python -m pipelines.projects.churn.study ablation`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd

from pipelines.projects.churn.checks import FIBRE, MONTHLY, PROTECTION, STREAMING

BANDS = {1: "first month", 6: "2-6 months", 12: "7-12 months", 24: "second year", 48: "2-4 years"}
LAST_BAND = "over 4 years"
PRICES = {"phone": 20.0, "lines": 5.0, "DSL": 25.0, FIBRE: 50.0, "protection": 5.0, "streaming": 10.0}
"""List prices in USD a month, read off the data: charges lie within about a dollar of their sum."""


def tenure(rows: pd.DataFrame) -> dict[str, pd.Series]:
    months = rows["tenure"]
    edges = [*BANDS]
    bands = np.array([*BANDS.values(), LAST_BAND])[np.searchsorted(edges, months)]
    return {
        "tenure_band": pd.Series(bands, index=rows.index, dtype=object),
        "log_tenure": np.log1p(months),
        "newness": 1 / (1 + months),
    }


def services(rows: pd.DataFrame) -> dict[str, pd.Series]:
    return {
        "services": _count(rows, (*PROTECTION, *STREAMING)),
        "protection": _count(rows, PROTECTION),
        "streaming": _count(rows, STREAMING),
    }


def charges(rows: pd.DataFrame) -> dict[str, pd.Series]:
    monthly, months = rows["MonthlyCharges"], rows["tenure"]
    total = billed(rows)
    average = (total / months.where(months > 0)).fillna(monthly)
    return {
        "log_total": np.log1p(total),
        "price_change": monthly / average.clip(lower=1) - 1,
        "above_list": monthly - list_price(rows),
    }


def support(rows: pd.DataFrame) -> dict[str, pd.Series]:
    fibre = rows["InternetService"] == FIBRE
    unprotected = (rows["TechSupport"] == "No") & (rows["OnlineSecurity"] == "No")
    return {
        "fibre_unsupported": _flag(fibre & unprotected),
        "fibre_with_lines": _flag(fibre & (rows["MultipleLines"] == "Yes")),
        "fibre_senior": _flag(fibre & (rows["SeniorCitizen"] == "1")),
    }


def contract(rows: pd.DataFrame) -> dict[str, pd.Series]:
    free_to_go = _flag(rows["Contract"] == MONTHLY)
    return {
        "monthly_newness": free_to_go / (1 + rows["tenure"]),
        "monthly_log_tenure": free_to_go * np.log1p(rows["tenure"]),
        "automatic_payment": _flag(rows["PaymentMethod"].astype(str).str.contains("automatic")),
    }


GROUPS: dict[str, Callable[[pd.DataFrame], dict[str, pd.Series]]] = {
    "tenure": tenure,
    "services": services,
    "charges": charges,
    "support": support,
    "contract": contract,
}

DOCS: dict[str, dict[str, str]] = {
    "tenure": {
        "tenure_band": "stage of the relation",
        "log_tenure": "log(1 + months)",
        "newness": "1 / (1 + months): falls fast in the first months, as the risk does",
    },
    "services": {
        "services": "number of internet services booked",
        "protection": "of them security, backup, device protection, support",
        "streaming": "of them television and films",
    },
    "charges": {
        "log_total": "log(1 + charged so far)",
        "price_change": "charge this month against the average month so far, minus 1",
        "above_list": "charge this month minus the list price of what is booked",
    },
    "support": {
        "fibre_unsupported": "fibre line without security and support",
        "fibre_with_lines": "fibre line and several telephone lines",
        "fibre_senior": "fibre line, 65 or older",
    },
    "contract": {
        "monthly_newness": "newness, for month-to-month contracts only",
        "monthly_log_tenure": "log(1 + months), for month-to-month contracts only",
        "automatic_payment": "pays by bank transfer or card, automatically",
    },
}
"""By group: the columns it adds and what each is."""


def engineer(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of all groups, and TotalCharges mended; same index."""
    columns = {name: column for group in GROUPS.values() for name, column in group(rows).items()}
    return pd.DataFrame({"TotalCharges": billed(rows), **columns}, index=rows.index)


def left_out(groups: Collection[str]) -> list[str]:
    """The columns of the groups that are not among `groups`."""
    return [column for group, columns in DOCS.items() if group not in groups for column in columns]


def billed(rows: pd.DataFrame) -> pd.Series:
    """Total charges, 0 before the first bill. A blank later on stays missing and is imputed inside the model."""
    return rows["TotalCharges"].mask(rows["TotalCharges"].isna() & (rows["tenure"] == 0), 0.0)


def list_price(rows: pd.DataFrame) -> pd.Series:
    """Sum of the list prices of what a customer has booked, USD a month."""
    price = PRICES["phone"] * (rows["PhoneService"] == "Yes") + PRICES["lines"] * (rows["MultipleLines"] == "Yes")
    for line in ("DSL", FIBRE):
        price = price + PRICES[line] * (rows["InternetService"] == line)
    return price + PRICES["protection"] * _count(rows, PROTECTION) + PRICES["streaming"] * _count(rows, STREAMING)


def _count(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    return (rows[list(columns)] == "Yes").sum(axis=1).astype("float64")


def _flag(condition: pd.Series) -> pd.Series:
    return condition.astype("float64")
