"""Customers that were never real: the schema of the Telco table, effects that are known, drift on request.

For machines that reach no source of the real data, and for tests that ask whether monitoring sees a change. Shares and
effects follow the real table roughly, so that an honest model reaches about the same ROC-AUC (0.85); nothing learnt from
these rows holds for real customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.data.simulation import generator, outcome, strengths
from pipelines.projects.churn.checks import FIBRE, MONTHLY, PROTECTION, STREAMING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

DRIFTS = {
    "price_rise": "raises every monthly charge by this share, and drives away half that share of those who would have stayed",
    "contract_shift": "moves this share of the one- and two-year contracts to month-to-month",
    "newcomers": "replaces this share of the customers by ones in their first three months",
    "missing_charges": "leaves TotalCharges blank for this share of the customers",
    "fibre_trouble": "drives away this share of the fibre customers who would have stayed: a change that no column shows",
    "after": "spares the first this share of the rows; with replay.order 'file' the other drifts then begin in mid-year",
}
"""What `ingest.drift` may name."""

RATE = 0.265
"""Share of customers who leave when nothing drifts."""
PRICES = {"phone": 20.0, "lines": 5.0, "DSL": 25.0, FIBRE: 50.0, "No": 0.0, "protection": 5.0, "streaming": 10.0}


def simulate(folder: Path, rows: int, seed: int, drift: Mapping[str, float]) -> None:
    """Write `telco_churn.csv` with `rows` customers into `folder`. Raises ConfigError for a drift that is not in `DRIFTS`."""
    import pandas as pd

    planted = strengths(drift, DRIFTS)
    spared = round(planted["after"] * rows)
    before, after = customers(rows, seed, strengths({}, DRIFTS)), customers(rows, seed, planted)
    table = pd.concat([before[:spared], after[spared:]])
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "telco_churn.csv", index=False, lineterminator="\n")


def customers(rows: int, seed: int, drift: Mapping[str, float]) -> pd.DataFrame:
    """The table as it lies in the file: charges as text, a blank total before the first bill."""
    import numpy as np
    import pandas as pd

    people = _people(generator(seed, "people"), rows)
    booked = _booked(generator(seed, "services"), rows)
    terms = _terms(generator(seed, "terms"), rows, drift)
    bill = _bill(generator(seed, "bill"), booked, terms, drift)
    columns = {**people, **booked, **terms, **bill}
    leaves = _leave(generator(seed, "churn"), columns, drift)
    table = pd.DataFrame({name: columns[name] for name in _ORDER})
    blank = (table["tenure"] == 0) | (generator(seed, "missing").random(rows) < drift["missing_charges"])
    table["TotalCharges"] = table["TotalCharges"].map("{:.2f}".format).mask(blank, " ")
    ids = generator(seed, "ids").permutation(np.arange(rows))
    table.insert(0, "customerID", [f"S{number:06d}-{seed % 10_000:04d}" for number in ids])
    return table.assign(Churn=np.where(leaves, "Yes", "No"))


_ORDER = (
    "gender", "SeniorCitizen", "Partner", "Dependents", "tenure", "PhoneService", "MultipleLines", "InternetService",
    "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies", "Contract",
    "PaperlessBilling", "PaymentMethod", "MonthlyCharges", "TotalCharges",
)  # fmt: skip


def _people(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    partner = rng.random(rows) < 0.48
    return {
        "gender": rng.choice(["Female", "Male"], rows),
        "SeniorCitizen": (rng.random(rows) < 0.16).astype(int),
        "Partner": _yes(partner),
        "Dependents": _yes(rng.random(rows) < _pick(partner, 0.52, 0.09)),
    }


def _booked(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    internet = rng.choice(["DSL", FIBRE, "No"], rows, p=[0.34, 0.44, 0.22])
    offline = internet == "No"
    phone = offline | (rng.random(rows) < _pick(internet == FIBRE, 1.0, 0.72))
    booked = {
        "PhoneService": _yes(phone),
        "MultipleLines": _pick(phone, _yes(rng.random(rows) < _pick(internet == FIBRE, 0.62, 0.32)), "No phone service"),
        "InternetService": internet,
    }
    for name in PROTECTION:
        booked[name] = _pick(offline, "No internet service", _yes(rng.random(rows) < _pick(internet == FIBRE, 0.36, 0.47)))
    for name in STREAMING:
        booked[name] = _pick(offline, "No internet service", _yes(rng.random(rows) < _pick(internet == FIBRE, 0.56, 0.40)))
    return booked


def _terms(rng: np.random.Generator, rows: int, drift: Mapping[str, float]) -> dict[str, Any]:
    import numpy as np

    contract = rng.choice([MONTHLY, "One year", "Two year"], rows, p=[0.55, 0.21, 0.24])
    new, settled = rng.exponential(18, rows), 72 * rng.beta(2.6, 1.1, rows)
    tenure = np.where(contract == MONTHLY, np.minimum(1 + new, 72), settled).astype(int)
    joining = (contract != MONTHLY) & (rng.random(rows) < 0.004)
    tenure = np.where(joining, 0, np.maximum(tenure, 1))
    tenure = np.where(rng.random(rows) < drift["newcomers"], rng.integers(1, 4, rows), tenure)
    contract = np.where(rng.random(rows) < drift["contract_shift"], MONTHLY, contract)
    methods = ["Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"]
    return {
        "tenure": tenure,
        "Contract": contract,
        "PaperlessBilling": _yes(rng.random(rows) < _pick(contract == MONTHLY, 0.67, 0.50)),
        "PaymentMethod": _pick(
            contract == MONTHLY,
            rng.choice(methods, rows, p=[0.48, 0.23, 0.145, 0.145]),
            rng.choice(methods, rows, p=[0.16, 0.23, 0.305, 0.305]),
        ),
    }


def _bill(rng: np.random.Generator, booked: Mapping[str, Any], terms: Mapping[str, Any], drift: Mapping[str, float]) -> Any:
    import numpy as np

    price = PRICES["phone"] * (booked["PhoneService"] == "Yes") + PRICES["lines"] * (booked["MultipleLines"] == "Yes")
    price = price + np.array([PRICES[line] for line in booked["InternetService"]])
    price = price + sum(PRICES["protection"] * (booked[name] == "Yes") for name in PROTECTION)
    price = price + sum(PRICES["streaming"] * (booked[name] == "Yes") for name in STREAMING)
    before = price + rng.normal(0, 0.6, len(price))
    average = before * (1 + rng.normal(0, 0.04, len(price)))
    monthly = before * (1 + drift["price_rise"])
    return {
        "MonthlyCharges": np.maximum(monthly, 18).round(2),
        "TotalCharges": np.maximum(average * terms["tenure"], 0).round(2),
    }


def _leave(rng: np.random.Generator, columns: Mapping[str, Any], drift: Mapping[str, float]) -> Any:
    """Who leaves: the planted effects, in log-odds."""

    monthly, fibre = columns["Contract"] == MONTHLY, columns["InternetService"] == FIBRE
    planted = {
        "contract": 1.1 * monthly - 0.9 * (columns["Contract"] == "Two year"),
        "newness": 2.6 * monthly / (1 + columns["tenure"]),
        "tenure": -0.022 * columns["tenure"],
        "fibre": 1.1 * fibre,
        "offline": -1.0 * (columns["InternetService"] == "No"),
        "support": -0.45 * (columns["TechSupport"] == "Yes") - 0.5 * (columns["OnlineSecurity"] == "Yes"),
        "streaming": 0.2 * sum((columns[name] == "Yes").astype(float) for name in STREAMING),
        "payment": 0.45 * (columns["PaymentMethod"] == "Electronic check"),
        "billing": 0.3 * (columns["PaperlessBilling"] == "Yes"),
        "senior": 0.3 * columns["SeniorCitizen"],
    }
    leaves = outcome(rng, planted, RATE)
    driven_away = rng.random(len(leaves)) < drift["price_rise"] / 2 + drift["fibre_trouble"] * fibre
    return leaves | driven_away


def _yes(condition: Any) -> Any:
    return _pick(condition, "Yes", "No")


def _pick(condition: Any, yes: Any, no: Any) -> Any:
    import numpy as np

    return np.where(condition, yes, no)
