"""Features: what they are, and that each row is on its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.projects.churn import features
from pipelines.projects.churn.features import DOCS, GROUPS, engineer


def test_groups_write_the_columns_they_document(cleaned: pd.DataFrame) -> None:
    assert set(DOCS) == set(GROUPS)
    for group, function in GROUPS.items():
        assert set(function(cleaned)) == set(DOCS[group])


def test_each_row_is_on_its_own(cleaned: pd.DataFrame) -> None:
    together = engineer(cleaned)
    order = np.random.default_rng(0).permutation(len(cleaned))[:50]
    pd.testing.assert_frame_equal(engineer(cleaned.iloc[order]), together.iloc[order])
    assert together.index.equals(cleaned.index)


def test_no_feature_is_missing_or_infinite_for_complete_rows(cleaned: pd.DataFrame) -> None:
    found = engineer(cleaned)
    assert not found.isna().any().any()
    assert np.isfinite(found.select_dtypes("number")).all().all()


def customer(cleaned: pd.DataFrame, **changes: object) -> pd.Series:
    row = cleaned.iloc[[0]].assign(**changes)
    return engineer(row).iloc[0]


def test_a_customer_before_the_first_bill(cleaned: pd.DataFrame) -> None:
    found = customer(cleaned, tenure=0, TotalCharges=np.nan, MonthlyCharges=50.0)
    assert (found["TotalCharges"], found["price_change"], found["newness"]) == (0.0, 0.0, 1.0)


def test_a_blank_total_later_on_stays_missing(cleaned: pd.DataFrame) -> None:
    assert np.isnan(customer(cleaned, tenure=5, TotalCharges=np.nan)["TotalCharges"])


@pytest.mark.parametrize(
    ("months", "band"), [(0, "first month"), (1, "first month"), (2, "2-6 months"), (12, "7-12 months"), (72, "over 4 years")]
)
def test_tenure_bands(cleaned: pd.DataFrame, months: int, band: str) -> None:
    assert customer(cleaned, tenure=months)["tenure_band"] == band


def test_a_fibre_customer_with_everything(cleaned: pd.DataFrame) -> None:
    booked = dict.fromkeys((*features.PROTECTION, *features.STREAMING), "Yes")
    found = customer(
        cleaned, InternetService="Fiber optic", PhoneService="Yes", MultipleLines="Yes", MonthlyCharges=120.0, tenure=10,
        TotalCharges=1000.0, Contract="Month-to-month", **booked,
    )  # fmt: skip
    assert (found["services"], found["protection"], found["streaming"]) == (6, 4, 2)
    assert found["above_list"] == pytest.approx(120 - (20 + 5 + 50 + 4 * 5 + 2 * 10))
    assert found["price_change"] == pytest.approx(0.2)
    assert (found["fibre_unsupported"], found["fibre_with_lines"]) == (0, 1)
    assert found["monthly_newness"] == pytest.approx(1 / 11)


def test_newness_counts_for_monthly_contracts_only(cleaned: pd.DataFrame) -> None:
    assert customer(cleaned, Contract="Two year", tenure=1)["monthly_newness"] == 0
