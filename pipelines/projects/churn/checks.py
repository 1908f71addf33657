"""What a Telco churn table must be. The bounds come from the public data set of 7,043 customers."""

from __future__ import annotations

from typing import Any

from pipelines.parts.tabular.schema import Column, Rule, Schema

YES_NO = ("No", "Yes")
INTERNET = ("No", "Yes", "No internet service")
"""Levels of a service that needs an internet line."""
PROTECTION = ("OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport")
STREAMING = ("StreamingTV", "StreamingMovies")
MONTHLY = "Month-to-month"
FIBRE = "Fiber optic"


def _blank_only_when_new(rows: Any) -> Any:
    return rows["TotalCharges"].notna() | (rows["tenure"] == 0)


def _services_need_internet(rows: Any) -> Any:
    offline = rows["InternetService"] == "No"
    without = rows[[*PROTECTION, *STREAMING]] == "No internet service"
    return without.eq(offline, axis=0).all(axis=1)


def _lines_need_phone(rows: Any) -> Any:
    return (rows["MultipleLines"] == "No phone service") == (rows["PhoneService"] == "No")


SCHEMA = Schema(
    columns=(
        Column("customerID", "text", "customer", optional=True),
        Column("gender", "category", "gender", levels=("Female", "Male")),
        Column("SeniorCitizen", "category", "65 or older", levels=("0", "1")),
        Column("Partner", "category", "has a partner", levels=YES_NO),
        Column("Dependents", "category", "has dependents", levels=YES_NO),
        Column("tenure", "integer", "months with the company", low=0, high=120, mean=(15.0, 50.0)),
        Column("PhoneService", "category", "telephone", levels=YES_NO),
        Column("MultipleLines", "category", "several lines", levels=("No", "Yes", "No phone service")),
        Column("InternetService", "category", "internet line", levels=("DSL", FIBRE, "No")),
        *(Column(name, "category", f"{name} booked", levels=INTERNET) for name in (*PROTECTION, *STREAMING)),
        Column("Contract", "category", "contract", levels=(MONTHLY, "One year", "Two year")),
        Column("PaperlessBilling", "category", "bill by e-mail", levels=YES_NO),
        Column(
            "PaymentMethod",
            "category",
            "how the bill is paid",
            levels=("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"),
        ),
        Column("MonthlyCharges", "number", "charge this month, USD", low=0, high=500, mean=(40.0, 90.0)),
        Column("TotalCharges", "number", "charged so far, USD", low=0, high=60_000, nullable=True, missing=0.02),
        Column("Churn", "category", "left within the last month", levels=YES_NO),
    ),
    target="Churn",
    ids=("customerID",),
    rules=(
        Rule(
            "total charges are blank only before the first bill",
            ("TotalCharges", "tenure"),
            _blank_only_when_new,
            broken={"TotalCharges": None, "tenure": 12},
        ),
        Rule(
            "internet services say 'No internet service' exactly when there is no internet line",
            ("InternetService", *PROTECTION, *STREAMING),
            _services_need_internet,
            broken={"InternetService": "No", "OnlineSecurity": "Yes"},
        ),
        Rule(
            "several lines say 'No phone service' exactly when there is no telephone",
            ("MultipleLines", "PhoneService"),
            _lines_need_phone,
            broken={"PhoneService": "No", "MultipleLines": "Yes"},
        ),
    ),
    rows=200,
    balance=(0.1, 0.5),
)
