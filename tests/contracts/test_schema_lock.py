"""The customer schema is a contract with every model and client: it changes on purpose or not at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from app.schemas import FEATURES, SCHEMA_VERSION, Customer

LOCK = Path(__file__).with_name("schema_lock.json")

# Descriptions and examples may change freely: no model depends on them.
_PROSE = {"description", "examples"}


def _without_prose(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _without_prose(v) for k, v in node.items() if k not in _PROSE}
    return [_without_prose(v) for v in node] if isinstance(node, list) else node


def current_lock() -> dict[str, Any]:
    """The present schema in the form of the lock file."""
    features = [_without_prose(dataclasses.asdict(f)) for f in FEATURES]
    lock = {
        "schema_version": SCHEMA_VERSION,
        "features": features,
        "json": _without_prose(Customer.model_json_schema()),
    }
    as_json: dict[str, Any] = json.loads(json.dumps(lock))
    return as_json


def advice(locked: dict[str, Any], now: dict[str, Any]) -> str | None:
    """What to do about a difference; None if there is none."""
    if locked == now:
        return None
    if locked["schema_version"] == now["schema_version"]:
        return (
            "The customer schema changed, but SCHEMA_VERSION did not. Raise SCHEMA_VERSION in app/schemas.py, so that "
            "models trained for the old schema are refused, and write the new lock: "
            "python tests/contracts/test_schema_lock.py"
        )
    return "SCHEMA_VERSION was raised: write the new lock with python tests/contracts/test_schema_lock.py"


def test_the_schema_is_the_locked_one() -> None:
    problem = advice(json.loads(LOCK.read_text("utf-8")), current_lock())
    assert problem is None, problem


def test_a_changed_category_without_a_new_version_is_found() -> None:
    changed = current_lock()
    changed["features"][0]["categories"].reverse()
    message = advice(current_lock(), changed)
    assert message is not None
    assert "Raise SCHEMA_VERSION in app/schemas.py" in message


def test_a_new_version_asks_for_a_new_lock_only() -> None:
    changed = current_lock() | {"schema_version": SCHEMA_VERSION + 1}
    message = advice(current_lock(), changed)
    assert message is not None
    assert message.startswith("SCHEMA_VERSION was raised")


def test_a_better_description_is_no_change() -> None:
    assert "description" not in json.dumps(current_lock())


if __name__ == "__main__":
    LOCK.write_text(json.dumps(current_lock(), indent=1) + "\n", encoding="utf-8")
