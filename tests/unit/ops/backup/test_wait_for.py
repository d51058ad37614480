"""A database server that does not answer at first, or refuses."""

from __future__ import annotations

import pytest

from ops.backup import postgres_client
from ops.errors import OpsError, TemporaryError


class Server:
    """Refuses the first connections."""

    def __init__(self, *refusals: OpsError) -> None:
        self.refusals = list(refusals)
        self.asked = 0

    def run(self, what: str, command: list[str]) -> str:
        del what, command
        self.asked += 1
        if self.refusals:
            raise self.refusals.pop(0)
        return "1"


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_client, "PAUSE_SECONDS", 0.0)


def test_it_is_asked_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(TemporaryError("refused"), TemporaryError("refused"))
    monkeypatch.setattr(postgres_client, "run", server.run)
    postgres_client.wait_for("churn", 60)
    assert server.asked == 3


def test_a_refusal_for_good_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(OpsError("wrong password"))
    monkeypatch.setattr(postgres_client, "run", server.run)
    with pytest.raises(OpsError, match="wrong password"):
        postgres_client.wait_for("churn", 60)
    assert server.asked == 1


def test_without_a_wait_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setattr(postgres_client, "run", server.run)
    postgres_client.wait_for("churn", 0)
    assert server.asked == 0
