"""Valid data that looks odd is reported in sentences with counts; honest data is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.telco import FEATURE_NAMES

from app.schemas import telco
from training import sanity
from training.generate import generate
from training.truth import GeneratorConfig


@pytest.fixture
def customers() -> pd.DataFrame:
    frame = generate(GeneratorConfig(rows=700, seed=3)).customers
    total = frame["total_charges"].fillna(frame["tenure_months"] * frame["monthly_charges"])
    return frame[list(FEATURE_NAMES)].assign(total_charges=total)


@pytest.mark.parametrize("seed", range(5))
def test_honest_customers_raise_no_warning(seed: int) -> None:
    frame = generate(GeneratorConfig(rows=500, seed=seed)).customers
    total = frame["total_charges"].fillna(frame["tenure_months"] * frame["monthly_charges"])
    assert sanity.warnings(telco(), frame[list(FEATURE_NAMES)].assign(total_charges=total)) == []


def test_an_add_on_without_its_service_is_a_contradiction(customers: pd.DataFrame) -> None:
    customers.loc[customers.index[customers["internet_service"] == "No"][:20], "online_security"] = "Yes"
    (warning,) = sanity.warnings(telco(), customers)
    assert warning.startswith("online_security contradicts internet_service in 20 of 700 rows")
    assert "'No internet service'" in warning


def test_a_service_that_its_add_on_denies_is_a_contradiction(customers: pd.DataFrame) -> None:
    customers.loc[customers.index[customers["phone_service"] == "Yes"][:3], "multiple_lines"] = "No phone service"
    (warning,) = sanity.warnings(telco(), customers)
    assert warning.startswith("multiple_lines contradicts phone_service in 3 of 700 rows")


def test_totals_with_a_thousands_separator_read_as_a_decimal_point(customers: pd.DataFrame) -> None:
    total = customers["total_charges"]
    (warning,) = sanity.warnings(telco(), customers.assign(total_charges=np.where(total >= 1000, total / 1000, total)))
    assert warning.startswith("total_charges is far from tenure_months * monthly_charges in")
    assert "a thousands separator read as a decimal point" in warning


def test_totals_in_another_unit_are_far_without_a_thousands_separator(customers: pd.DataFrame) -> None:
    (warning,) = sanity.warnings(telco(), customers.assign(total_charges=customers["total_charges"] * 12))
    assert "typically 12 times it" in warning or "typically 11.9 times it" in warning
    assert "thousands separator" not in warning


def test_totals_that_were_all_blank_add_nothing(customers: pd.DataFrame) -> None:
    filled = customers["tenure_months"] * customers["monthly_charges"]
    (warning,) = sanity.warnings(telco(), customers.assign(total_charges=filled))
    assert "it was blank or computed" in warning


def test_a_constant_column_is_named(customers: pd.DataFrame) -> None:
    constant = customers["gender"].cat.categories[0]
    frame = customers.assign(gender=pd.Categorical([constant] * len(customers), customers["gender"].cat.categories))
    (warning,) = sanity.warnings(telco(), frame)
    assert warning == f"gender is {constant} in every row: the model cannot learn from it"
