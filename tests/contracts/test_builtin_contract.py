"""The built-in contract is what every bundle of format 1 was made for, so what it means for a model never changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.contract import Contract
from app.schemas import telco

LOCK = Path(__file__).with_name("builtin_contract.json")


def coding(contract: Contract) -> list[dict[str, Any]]:
    """What a model depends on: the order of the features, and how each is coded."""
    facts = {"name", "type", "categories", "minimum", "maximum", "blank"}
    return [feature.model_dump(mode="json", include=facts) for feature in contract.features]


def test_the_coding_is_the_locked_one() -> None:
    assert json.loads(LOCK.read_text("utf-8")) == coding(telco()), (
        "bundles of format 1 were made for the locked coding and carry no contract of their own: "
        "write another contract instead of changing this one"
    )


def test_a_changed_category_or_order_is_found() -> None:
    changed = telco().model_dump(mode="json")
    changed["features"][0]["categories"].reverse()
    assert coding(Contract.model_validate_json(json.dumps(changed))) != coding(telco())
    swapped = telco().model_dump(mode="json")
    swapped["features"].reverse()
    assert coding(Contract.model_validate_json(json.dumps(swapped))) != coding(telco())


def test_words_may_change() -> None:
    assert not {"description", "unit", "aliases"} & coding(telco())[0].keys()


if __name__ == "__main__":
    LOCK.write_text(json.dumps(coding(telco()), indent=1) + "\n", encoding="utf-8")
