"""The cause of a wrong value is recognised by its spelling, and not confused with similar causes."""

from __future__ import annotations

import pyarrow as pa
import pytest
from support.telco import FEATURES

from app.feature import Feature
from app.schemas import telco
from training.causes import GENERIC, VALUES
from training.hints import category_causes, fold, label_causes, meant, number_causes

BY_NAME = {feature.name: feature for feature in FEATURES}


def number(value: str, name: str = "total_charges") -> str:
    (cause,) = number_causes(BY_NAME[name], pa.array([value]))
    return str(cause)


def category(value: str, name: str) -> str:
    (cause,) = category_causes(BY_NAME[name], pa.array([value]))
    return str(cause)


@pytest.mark.parametrize(
    ("cause", "values"),
    {
        "decimal-comma": ["29,85", "776,9", "1854,38", "-3,5", "0,125", " 29,85 ", "1854,385", ",5",
                          "2,1e3", "1,23456"],
        "thousands": ["1,854.38", "1,854", "1.854,38", "1 854", "1 854,38", "1'854.38", "1\u2019854", "1\u00a0854,00",
                      "1\u202f854", "12,345,678", "1.234.567", "1,23,456.5"],
        "currency": ["$29.85", "29,85 €", "€ 1.854,38", "USD 5", "5 eur", "£1,000", "-$5", "CHF 12", "A$3", "3 zł"],
        "unit": ["12 months", "12mo", "3.5 GB", "80 a/month"],
        "percent": ["5%", "12 %"],
        "missing-word": ["NULL", "nan", "N/A", "n/a", "NA", "None", "-", "?", "#N/A", "\\N", "unknown", "<NA>"],
        "blank": ["", "  "],
        "out-of-range": ["-1", "1000001", "1e999", "+5000000"],
        "not-a-number": ["abc", "0x10", "0xFF", "1_0", "٣", "inf", "12:30", "2026-01-31", "31.01.2026", "1,2,3", "--5",
                         "74.04,813.39", "1,234.567.8", "1 234,567.8"],
    }.items(),
)  # fmt: skip
def test_cause_of_a_wrong_number(cause: str, values: list[str]) -> None:
    assert {value: number(value) for value in values} == dict.fromkeys(values, cause)


def test_number_that_is_not_whole() -> None:
    assert number("5.5", "tenure_months") == "not-whole"
    assert number("1201.5", "tenure_months") == "out-of-range"
    assert number("1.200,5", "tenure_months") == "thousands"


@pytest.mark.parametrize("word", ["Yes", "no", "Y", "TRUE", "false"])
def test_words_for_one_and_zero(word: str) -> None:
    assert number(word, "senior_citizen") == "flag"
    assert number(word, "tenure_months") == "not-a-number"


def test_three_digits_after_a_comma_are_decimals_if_thousands_are_impossible() -> None:
    beside = number_causes(BY_NAME["total_charges"], pa.array(["1,854", "29,85"]))
    assert beside.tolist() == ["decimal-comma", "decimal-comma"]
    assert number("29,850", "monthly_charges") == "decimal-comma"
    assert number("1,854", "monthly_charges") == "thousands"


@pytest.mark.parametrize(
    ("name", "value", "cause", "target"),
    [
        ("gender", "MALE", "spelling", "Male"),
        ("contract", "Month to month", "spelling", "Month-to-month"),
        ("internet_service", "fiber_optic", "spelling", "Fiber optic"),
        ("gender", "F", "near-category", "Female"),
        ("internet_service", "Fiber", "near-category", "Fiber optic"),
        ("contract", "Two years", "near-category", "Two year"),
        ("payment_method", "Credit card", "near-category", "Credit card (automatic)"),
        ("internet_service", "Fibre optic", "near-category", "Fiber optic"),
        ("partner", "Y", "yes-no", "Yes"),
        ("partner", "0", "yes-no", "No"),
        ("partner", "1.0", "yes-no", "Yes"),
        ("partner", "YES", "spelling", "Yes"),
        ("online_security", "n", "yes-no", "No"),
        ("online_security", "TRUE", "three-answers", "Yes"),
        ("multiple_lines", "0", "three-answers", "No"),
        ("gender", "NULL", "missing-word", ""),
        ("gender", "", "blank", ""),
        ("gender", "X", "unknown-category", ""),
        ("gender", "TRUE", "unknown-category", ""),
        ("contract", "Weekly", "unknown-category", ""),
        ("online_security", "No phone service", "unknown-category", ""),
    ],
)
def test_cause_of_a_wrong_category(name: str, value: str, cause: str, target: str) -> None:
    assert category(value, name) == cause
    assert meant(telco(), name, value) == (repr(target) if target else "")


@pytest.mark.parametrize(
    ("value", "cause"),
    [("Churned", "label-spelling"), ("Y", "label-spelling"), ("-1", "label-spelling"), ("maybe", "unknown-label"),
     ("3", "unknown-label"), ("", "blank"), ("NULL", "missing-word")],
)  # fmt: skip
def test_cause_of_a_wrong_label(value: str, cause: str) -> None:
    assert label_causes(pa.array([value])).tolist() == [cause]
    assert meant(telco(), "churned", value) == ""


def test_only_some_of_many_distinct_values_are_judged() -> None:
    causes = category_causes(BY_NAME["gender"], pa.array(["male", *[f"x{i}" for i in range(5000)], "male "]))
    assert causes[0] == "spelling"
    assert causes[-1] == "unknown-category"


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_every_cause_has_a_text(feature: Feature) -> None:
    values = pa.array(["", "NULL", "a", "1", "-1", "1,5", "1,000", "$1", "1 x", "TRUE", "y", "FEMALE"])
    judge = category_causes if feature.categories else number_causes
    assert set(judge(feature, values)) <= VALUES.keys() | GENERIC.keys()


def test_names_are_folded_to_letters_and_digits() -> None:
    assert fold(" Senior-Citizen_(1) ") == "seniorcitizen1"
    assert fold("STREAMING TV") == fold("StreamingTV") == fold("streaming_tv")
