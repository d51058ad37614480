"""Column names: which are ours, and what the others probably mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.telco import FEATURE_NAMES, IBM_COLUMNS

from app.contract import Contract
from app.schemas import telco
from training import causes
from training.names import Names
from training.reading_layout import Known
from training.violations import FILE, Findings

NAMES = Names(telco())
REQUIRED = dict.fromkeys((*FEATURE_NAMES, "churned"), "a value")
OURS = [*FEATURE_NAMES, "customer_id", "churned"]


def judged(names: list[str]) -> tuple[dict[str, str], set[tuple[str, str, str]]]:
    """The recognised columns, and column, cause and meaning of every violation."""
    findings = Findings(telco())
    columns = NAMES.columns_of(names, REQUIRED, findings)
    return columns, {(v.column, v.cause, v.meant) for v in findings.violations()}


def with_names(**others: str) -> list[str]:
    return [others.get(name, name) for name in OURS]


@pytest.mark.parametrize("names", [OURS, list(IBM_COLUMNS), [n for n in OURS if n != "customer_id"]])
def test_documented_names_are_right(names: list[str]) -> None:
    columns, violations = judged(names)
    assert set(columns.values()) == set(names)
    assert not violations


@pytest.mark.parametrize(
    ("ours", "theirs", "cause"),
    [
        ("churned", "Churn Label", causes.RENAME),
        ("gender", "gendr", causes.NEAR_NAME),
        ("monthly_charges", "Monthly Charge", causes.NEAR_NAME),
        ("tenure_months", "tenure_in_months", causes.NEAR_NAME),
        ("churned", "Exited", causes.NEAR_NAME),
        ("churned", "is_churn", causes.NEAR_NAME),
    ],
)
def test_other_spelling_is_reported_once_with_its_meaning(ours: str, theirs: str, cause: str) -> None:
    columns, violations = judged(with_names(**{ours: theirs}))
    assert violations == {(repr(theirs), cause, ours)}
    # Values of a column that only needs its name are checked too.
    assert (columns.get(ours) == theirs) == (cause == causes.RENAME)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("senior_citizen", "Senior Citizen"), ("senior_citizen", "SENIOR-CITIZEN"),
        ("senior_citizen", "SeniorCitizen "), ("tenure_months", "Tenure"),
        ("churned", "CHURN"), ("customer_id", "Customer.ID"),
    ],
)  # fmt: skip
def test_another_case_and_other_punctuation_are_understood_with_a_note(ours: str, theirs: str) -> None:
    findings = Findings(telco())
    columns = NAMES.columns_of(with_names(**{ours: theirs}), REQUIRED, findings)
    assert columns == {name: name for name in OURS} | {ours: theirs}
    assert not findings
    assert findings.notes == (
        f"Names that differ only in case, spaces or punctuation were understood: {theirs!r} as {ours}.",
    )


def test_two_columns_that_differ_only_in_case_are_refused() -> None:
    _, violations = judged([*with_names(gender="Gender"), "GENDER"])
    assert violations == {("'GENDER'", causes.AGAIN, "gender")}


def tiny(**more: Any) -> Names:
    features = [
        {"name": name, "type": "boolean", **({"aliases": aliases} if aliases else {})}
        for name, aliases in (("x1", ()), ("x_1", ()), ("vip", ("Very Important",)))
    ]
    example = {"x1": True, "x_1": True, "vip": True}
    document = {"contract": 1, "name": "t", "features": features, "example": example} | more
    return Names(Contract.model_validate_json(json.dumps(document)))


@pytest.mark.parametrize(
    ("name", "column"),
    [("X-1", None), ("VIP", "vip"), ("very_important", "vip"), ("surname ", "Surname"), ("DAY", "day"), ("ID", None),
     ("Iid", None), ("weight", None)],
)  # fmt: skip
def test_a_spelling_is_understood_only_if_it_is_of_one_name(name: str, column: str | None) -> None:
    names = tiny(ignored=["Surname", "i_d"], as_of="day", key={"name": "id"})
    assert names.same_but_spelt(name) == column


def test_an_ignored_column_is_ignored_in_another_case_too_but_not_if_a_feature_has_that_name() -> None:
    names = tiny(ignored=["Surname", "VIP"], as_of="day")
    findings = Findings(names.contract)
    required = dict.fromkeys(("x1", "x_1", "vip"), "a value")
    columns = names.columns_of(["x1", "x_1", "vip", "VIP", "SURNAME", "Day"], required, findings)
    assert columns == {name: name for name in required}
    assert not findings
    assert findings.notes == ("Ignored, as the contract says: the column VIP, SURNAME.",)


@pytest.mark.parametrize(
    ("extra", "cause", "meant"),
    [
        ("Churn Score", causes.LEAK, ""),
        ("churn_reason", causes.LEAK, ""),
        ("Customer Status", causes.LEAK, ""),
        ("Exited", causes.LEAK, ""),
        ("Churn Value", causes.AGAIN, "churned"),
        ("Gender", causes.AGAIN, "gender"),
        ("CLTV", causes.UNKNOWN_COLUMN, ""),
        ("sex", causes.UNKNOWN_COLUMN, ""),
        ("chance", causes.UNKNOWN_COLUMN, ""),
        ("index", causes.UNKNOWN_COLUMN, ""),
        ("Unnamed: 21", causes.UNKNOWN_COLUMN, ""),
        ("", causes.UNNAMED_COLUMN, ""),
    ],
)
def test_an_extra_column_is_reported_with_its_cause(extra: str, cause: str, meant: str) -> None:
    columns, violations = judged([*OURS, extra])
    assert violations == {(repr(extra), cause, meant)}
    assert set(columns) == set(OURS)


def test_a_name_similar_to_nothing_leaves_the_column_missing() -> None:
    _, violations = judged(with_names(gender="sex"))
    assert violations == {("'sex'", causes.UNKNOWN_COLUMN, ""), ("gender", causes.MISSING_COLUMN, "")}


def test_a_second_name_for_the_label_gives_it_away() -> None:
    _, violations = judged([*with_names(churned="Exited"), "Attrition"])
    assert violations == {("'Exited'", causes.NEAR_NAME, "churned"), ("'Attrition'", causes.LEAK, "")}


def test_two_columns_with_one_meaning() -> None:
    columns, violations = judged([*OURS, "Partner"])
    assert violations == {("partner", "doubled-column", "")}
    assert "partner" not in columns


@pytest.mark.parametrize(
    ("known_names", "others", "other_schema"),
    [(9, 10, True), (9, 9, False), (10, 30, False), (1, 13, True), (0, 2, True), (1, 0, False)],
)
def test_another_schema_shares_few_of_our_columns(known_names: int, others: int, *, other_schema: bool) -> None:
    names = [*FEATURE_NAMES[:known_names], *(f"zq{number}" for number in range(others))]
    columns, violations = judged(names)
    if other_schema:
        assert violations == {(FILE, "other-schema", "")}
        assert not columns
    else:
        assert (FILE, "other-schema", "") not in violations
        assert set(columns) == set(FEATURE_NAMES[:known_names])


@pytest.mark.parametrize(
    ("names", "ignored"),
    [(["", *OURS], 1), (["Unnamed: 0", "Unnamed: 0.1", *OURS], 2), ([*OURS, "__index_level_0__"], 1)],
)
def test_row_index_is_ignored_with_a_note(names: list[str], ignored: int) -> None:
    findings = Findings(telco())
    assert set(NAMES.columns_of(names, REQUIRED, findings)) == set(OURS)
    assert not findings
    (note,) = findings.notes
    assert note.startswith("A row index was ignored: the column named '")
    assert note.count("'") == 2 * ignored


def test_names_are_recognised_in_any_spelling() -> None:
    assert NAMES.known("TENURE") == NAMES.known("Tenure Months") == NAMES.known("tenure_months") == "tenure_months"
    assert NAMES.known("weight") is None
    assert Known(NAMES).count(["Gender", "gender", "SeniorCitizen", "weight", ""]) == 2
