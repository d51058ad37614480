"""Moves of an alias under load: one version after another, and what every answer must then be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from support.registered import Registered, Version
from support.servers import wait_until
from support.traffic import Outcome


def move_alias(registered: Registered, versions: Sequence[Version], moves: int, outcome: Outcome) -> None:
    """Point the alias at one version after another, each time until an answer is of that version."""
    for move in range(1, moves + 1):
        version = versions[move % len(versions)]
        registered.point(version)
        wait_until(
            lambda number=version.number: outcome.answers and outcome.answers[-1][1]["model_version"] == number,  # type: ignore[misc]  # mypy cannot type a lambda's default
            f"an answer of version {version.number}",
        )


def check_answers(outcome: Outcome, expected: Mapping[str, Sequence[float]]) -> None:
    """Check that no request failed, every version answered, and each score is that of the version it names.

    Args:
        outcome: of the whole traffic.
        expected: score of each customer, by the number of the version.
    """
    assert not outcome.failures
    assert outcome.not_sent == 0
    assert set(outcome.versions) == set(expected)
    wrong = [
        (index, answer)
        for index, answer in outcome.answers
        if answer["churn_probability"] != expected[answer["model_version"]][index]
    ]
    assert not wrong
