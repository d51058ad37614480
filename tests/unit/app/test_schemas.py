from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.bundles import random_customers
from support.telco import (
    CODES,
    EXAMPLE,
    FEATURE_NAMES,
    FEATURES,
    IBM_COLUMNS,
    ID_COLUMN,
    LABEL_COLUMN,
    Customer,
    encode,
)

from app.coding import Coder
from app.feature import Feature
from app.schemas import telco

_BY_NAME = {f.name: f for f in FEATURES}


def feature_values(feature: Feature) -> st.SearchStrategy[Any]:
    """Every value that the feature allows."""
    if feature.is_category:
        return st.sampled_from(feature.categories)
    assert feature.minimum is not None
    assert feature.maximum is not None
    if feature.integer:
        return st.integers(int(feature.minimum), int(feature.maximum))
    numbers = st.floats(feature.minimum, feature.maximum) | st.integers(int(feature.minimum), int(feature.maximum))
    return numbers | st.none() if feature.nullable else numbers


def customers() -> st.SearchStrategy[dict[str, Any]]:
    """Every valid customer, with and without the optional fields."""
    required = {f.name: feature_values(f) for f in FEATURES if not f.nullable}
    optional = {f.name: feature_values(f) for f in FEATURES if f.nullable}
    ids = st.none() | st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
    return st.fixed_dictionaries(required, optional=optional | {ID_COLUMN: ids})


def test_the_nineteen_features_are_in_ibms_order() -> None:
    assert FEATURE_NAMES == (
        "gender",
        "senior_citizen",
        "partner",
        "dependents",
        "tenure_months",
        "phone_service",
        "multiple_lines",
        "internet_service",
        "online_security",
        "online_backup",
        "device_protection",
        "tech_support",
        "streaming_tv",
        "streaming_movies",
        "contract",
        "paperless_billing",
        "payment_method",
        "monthly_charges",
        "total_charges",
    )


def test_every_ibm_column_is_mapped_once() -> None:
    assert len(IBM_COLUMNS) == len(FEATURES) + 2
    assert set(IBM_COLUMNS.values()) == {*FEATURE_NAMES, ID_COLUMN, LABEL_COLUMN}
    assert IBM_COLUMNS["tenure"] == "tenure_months"
    assert IBM_COLUMNS["StreamingTV"] == "streaming_tv"


@pytest.mark.parametrize(
    ("name", "categories"),
    [
        ("partner", ("No", "Yes")),
        ("multiple_lines", ("No", "Yes", "No phone service")),
        ("tech_support", ("No", "Yes", "No internet service")),
        ("contract", ("Month-to-month", "One year", "Two year")),
    ],
)
def test_categories_are_derived_in_their_order(name: str, categories: tuple[str, ...]) -> None:
    feature = _BY_NAME[name]
    assert feature.categories == categories
    assert feature.minimum is feature.maximum is None
    assert not feature.integer
    assert not feature.nullable
    assert CODES[name] == {c: float(i) for i, c in enumerate(categories)}


@pytest.mark.parametrize(
    ("name", "integer", "nullable", "bounds", "unit"),
    [
        ("senior_citizen", True, False, (0, 1), None),
        ("tenure_months", True, False, (0, 1200), "months"),
        ("monthly_charges", False, False, (0, 10_000), "currency/month"),
        ("total_charges", False, True, (0, 1_000_000), "currency"),
    ],
)
def test_number_bounds_are_derived(
    name: str, *, integer: bool, nullable: bool, bounds: tuple[float, float], unit: str | None
) -> None:
    feature = _BY_NAME[name]
    assert not feature.is_category
    assert (feature.integer, feature.nullable, feature.unit) == (integer, nullable, unit)
    assert (feature.minimum, feature.maximum) == bounds


def test_the_expected_value_is_described_in_words() -> None:
    assert _BY_NAME["partner"].expected == "one of 'No', 'Yes'"
    assert _BY_NAME["tenure_months"].expected == "a whole number from 0 to 1200"
    assert _BY_NAME["total_charges"].expected == "a number from 0 to 1000000, or blank"


def test_the_example_is_a_customer() -> None:
    assert Customer.model_validate(dict(EXAMPLE)).model_dump() == dict(EXAMPLE)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_every_feature_refuses_what_it_does_not_allow(feature: Feature) -> None:
    wrong: list[Any] = [True, [], {}, "no such value", math.nan, math.inf]
    if not feature.is_category:
        assert feature.minimum is not None
        assert feature.maximum is not None
        wrong += [feature.minimum - 1, feature.maximum + 1, str(feature.minimum)]
    if feature.integer:
        wrong.append(0.5)
    if not feature.nullable:
        wrong.append(None)
    for value in wrong:
        with pytest.raises(ValidationError):
            Customer.model_validate(dict(EXAMPLE) | {feature.name: value})


@pytest.mark.parametrize("name", [n for n in FEATURE_NAMES if not _BY_NAME[n].nullable])
def test_no_feature_but_the_total_may_be_missing(name: str) -> None:
    row = dict(EXAMPLE)
    del row[name]
    with pytest.raises(ValidationError):
        Customer.model_validate(row)


@pytest.mark.parametrize("change", [{"total_charges": None}, "absent"])
def test_a_blank_total_is_coded_as_tenure_times_monthly(change: dict[str, None] | str) -> None:
    row = dict(EXAMPLE)
    if isinstance(change, dict):
        row |= change
    else:
        del row["total_charges"]
    coded = encode([row])[0, FEATURE_NAMES.index("total_charges")]
    assert coded == np.float32(5 * 84.85)


def test_encode_gives_codes_in_feature_order() -> None:
    (coded,) = encode([EXAMPLE])
    assert coded.dtype == np.float32
    expected = [0, 0, 1, 0, 5, 1, 0, 2, 0, 1, 0, 0, 1, 0, 0, 1, 0, np.float32(84.85), np.float32(421.2)]
    assert coded.tolist() == expected


def test_encode_refuses_a_row_that_was_never_validated() -> None:
    with pytest.raises(KeyError, match="Perhaps"):
        encode([dict(EXAMPLE) | {"partner": "Perhaps"}])
    with pytest.raises(KeyError, match="tenure_months"):
        encode([{k: v for k, v in EXAMPLE.items() if k != "tenure_months"}])


def test_encode_of_many_is_encode_of_each() -> None:
    rows = random_customers(50, seed=3)
    assert np.array_equal(encode(rows), np.vstack([encode([r]) for r in rows]))
    assert encode(rows).flags.c_contiguous


@given(customers())
def test_a_single_request_is_coded_exactly_as_in_a_batch(row: dict[str, Any]) -> None:
    Customer.model_validate(row)
    # Equal without rounding: drift bins and cache keys of a single must be those of the same row in a batch.
    assert Coder(telco(), {}).one(row) == tuple(encode([row])[0].tolist())
