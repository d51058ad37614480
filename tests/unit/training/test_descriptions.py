from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from training import descriptions
from training.ledger import Move

CARD = """# Model card: churn, logistic regression

AUC 0.8406, gates passed. Trained on customers.csv.

Not for prices.

## Data

10,000 customers.

## Figures on the holdout

| metric | value |
| :--- | :--- |
| AUC | 0.8406 |

## Groups

By gender.

## Warnings

Few churners.

## Limits

No causes.
"""


def move(minute: int, reason: str = "passed its gates") -> Move:
    return Move(
        at=datetime(2026, 11, 1, 12, minute, tzinfo=UTC),
        actor="ann",
        action="promote",
        alias="production",
        from_version=str(minute) if minute else None,
        to_version=str(minute + 1),
        run_id=None,
        reason=reason,
    )


def test_a_versions_description_begins_with_the_headline_and_has_the_evidence() -> None:
    text = descriptions.summary(CARD)
    assert text.startswith("AUC 0.8406, gates passed.")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "## Data",
        "## Figures on the holdout",
        "## Warnings",
    ]
    assert "| AUC | 0.8406 |" in text
    assert "Few churners." in text
    assert "Not for prices" not in text


def test_a_description_too_long_for_mlflow_is_cut_at_a_line() -> None:
    text = descriptions.summary(CARD.replace("10,000 customers.", "\n".join(["10,000 customers."] * 500)))
    assert len(text) <= descriptions.LENGTH_MAX
    assert text.endswith("10,000 customers.\n…")


def test_a_models_description_has_aliases_and_the_last_moves_newest_first() -> None:
    text = descriptions.of_model("churn", "", {"production": "2", "previous": "1"}, [move(0), move(1)])
    assert text.startswith("The probability that a customer churns")
    assert "| `previous`&emsp; | [1](#/models/churn/versions/1) |\n| `production`&emsp; | [2]" in text
    rows = [line.strip("| ").split("&emsp; | ") for line in text.splitlines() if line.startswith("| 2026")]
    one, two = "[1](#/models/churn/versions/1)", "[2](#/models/churn/versions/2)"
    assert rows == [
        ["2026-11-01 12:01", "ann", "promote", "`production`", one, two, "passed its gates"],
        ["2026-11-01 12:00", "ann", "promote", "`production`", "-", one, "passed its gates"],
    ]


def test_only_the_last_moves_are_shown_and_the_text_fits() -> None:
    text = descriptions.of_model("m" * 64, "", {}, [move(minute, "because | of *this* " * 25) for minute in range(30)])
    rows = [line for line in text.splitlines() if line.startswith("| 2026")]
    assert len(rows) == descriptions.MOVES_SHOWN
    assert rows[0].startswith("| 2026-11-01 12:29")
    assert len(text) <= descriptions.LENGTH_MAX
    assert not text.endswith("…")
    assert all(row.replace(r"\|", "").count("|") == 8 for row in rows)


def test_text_that_a_person_wrote_above_the_aliases_stays() -> None:
    own = "Ours.\n\n| team | phone |\n|---|---|\n| data | 1 |"
    once = descriptions.of_model("churn", own, {"staging": "1"}, [])
    twice = descriptions.of_model("churn", once, {"staging": "2"}, [move(0)])
    assert twice.startswith(f"{own}\n\n## Aliases\n\n")
    assert twice.count("## Aliases") == 1
    assert "[2](" in twice
    assert "Last moves" in twice


class Refusing(MlflowClient):
    """A client whose server refuses everything."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")

    def get_registered_model(self, name: str) -> object:  # type: ignore[override]  # it never returns
        raise MlflowException(f"no right to\nread {name}")

    def get_run(self, run_id: str) -> object:  # type: ignore[override]  # it never returns
        raise MlflowException(f"no right to\nread {run_id}")


def test_a_refused_description_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        descriptions.describe(Refusing(), "churn")
        assert descriptions.of_version(Refusing(), "r1") is None
    assert [record.getMessage() for record in caplog.records] == [
        "cannot describe model 'churn' in MLflow: no right to read churn",
        "cannot read the model card of run r1 from MLflow: no right to read r1",
    ]
