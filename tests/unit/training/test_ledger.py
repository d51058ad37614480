from __future__ import annotations

from datetime import UTC, datetime

from mlflow import MlflowClient

from app.bundle import GateResult
from training import ledger
from training.ledger import Move


class Remembering(MlflowClient):
    """A client that records the tags that are set."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.tags: dict[str, str] = {}

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:  # noqa: ARG002 - MLflow's signature
        self.tags[key] = value


def move(day: int, detail: str = "") -> Move:
    return Move(
        at=datetime(2026, 11, day, tzinfo=UTC),
        actor="ann",
        action="stage",
        alias="staging",
        from_version=None,
        to_version=str(day),
        run_id="r1",
        gates=[GateResult(name=name, passed=True, detail=detail) for name in ("parity", "leak")],
    )


def test_a_move_is_stored_under_a_key_that_mlflows_pages_hide() -> None:
    client = Remembering()
    ledger.record(client, "churn", move(2))
    (key,) = client.tags
    assert key.startswith("mlflow.churn.move.20261102T000000.000000Z-")
    assert ledger.read(client.tags) == [move(2)]


def test_moves_of_both_kinds_of_keys_are_read_in_order_of_time() -> None:
    tags = {
        "move.20261103T000000.000000Z-aaaaaa": move(3).model_dump_json(),
        "mlflow.churn.move.20261104T000000.000000Z-bbbbbb": move(4).model_dump_json(),
        "mlflow.churn.move.20261102T000000.000000Z-cccccc": move(2).model_dump_json(),
        "move.20261101T000000.000000Z-dddddd": move(1).model_dump_json(),
        "move.20261105T000000.000000Z-eeeeee": "{}",
        "owner": "ann",
    }
    assert [m.to_version for m in ledger.read(tags)] == ["1", "2", "3", "4"]


def test_a_long_move_keeps_its_verdicts() -> None:
    client = Remembering()
    ledger.record(client, "churn", move(1, detail="x" * 3000))
    (value,) = client.tags.values()
    assert len(value) <= 4000
    (stored,) = ledger.read(client.tags)
    assert [(gate.name, gate.passed) for gate in stored.gates] == [("parity", True), ("leak", True)]
