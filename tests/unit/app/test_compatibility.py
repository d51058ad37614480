"""`compare` is right about clients: judged by the real validation of bodies, on random contracts and by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from support.contracts import contracts, rows

from app.compatibility import compare
from app.contract import Contract
from app.customers import customer_model
from app.schemas import telco


def accepts(model: type[BaseModel], row: dict[str, Any]) -> bool:
    try:
        model.model_validate_json(json.dumps(row))
    except ValidationError:
        return False
    return True


def document(contract: Contract) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(contract.canonical)
    return plain


def a_value(feature: dict[str, Any]) -> Any:
    if feature["type"] == "boolean":
        return True
    if feature["type"] == "category":
        return feature["categories"][0]
    return int(feature["minimum"])


def built(changed: dict[str, Any]) -> Contract:
    """A contract from a document, with an example that fits its features."""
    changed["example"] = {feature["name"]: a_value(feature) for feature in changed["features"]}
    return Contract.model_validate_json(json.dumps(changed))


FEATURE: dict[str, Any] = {"name": "f_new", "type": "integer", "minimum": 0, "maximum": 9}
KEYS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["customer_id", "account"]),
        "letters": st.sampled_from(["ascii", "unicode"]),
        "symbols": st.sampled_from(["_.-", "_.-@+", "-", "\u0301"]),
        "max_length": st.sampled_from([3, 64, 100]),
    },
)


@st.composite
def changed_feature(draw: st.DrawFn, feature: dict[str, Any]) -> dict[str, Any]:
    """A feature with one change."""
    change = draw(st.sampled_from(["type", "bounds", "categories", "blank", "prose"]))
    name = {"name": feature["name"]}
    if change == "type":
        kind = draw(st.sampled_from(["category", "integer", "number", "boolean"]))
        bounds = {k: feature.get(k, d) for k, d in (("minimum", 0), ("maximum", 1))}
        body = {"category": {"categories": ["abc", "x"]}, "boolean": {}}.get(kind, bounds)
        return {
            **name,
            "type": kind,
            **body,
            **({"blank": "median"} if kind != "category" and "blank" in feature else {}),
        }
    if change == "bounds" and "minimum" in feature:
        moves = st.sampled_from([-1000, -1, 0, 1, 1000])
        return {**feature, "minimum": feature["minimum"] + draw(moves), "maximum": feature["maximum"] + draw(moves)}
    if change == "categories" and "categories" in feature:
        listed = draw(st.permutations([*feature["categories"], "Other"]))
        return {**feature, "categories": listed[: draw(st.integers(2, len(listed)))]}
    if change == "blank":
        without = {k: v for k, v in feature.items() if k != "blank"}
        return without if "blank" in feature or feature["type"] == "category" else {**without, "blank": "median"}
    return {**feature, "description": "Other words."}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Contract, Contract]:
    """A contract and a changed one."""
    old = draw(contracts())
    old = built({**document(old), "key": draw(KEYS)})
    new = document(old)
    for _ in range(draw(st.integers(0, 2))):
        features = new["features"]
        at = draw(st.integers(0, len(features) - 1))
        match draw(st.sampled_from(["feature", "feature", "feature", "order", "drop", "add", "key", "inside"])):
            case "feature":
                features[at] = draw(changed_feature(features[at]))
            case "order":
                new["features"] = draw(st.permutations(features))
            case "drop":
                features.pop(at)
            case "add":
                features.append(FEATURE | draw(st.sampled_from([{}, {"blank": "median"}])))
            case "key":
                new["key"] = draw(KEYS)
            case "inside":
                new["cost"] = {"offer_cost": 5}
        assume(new["features"])
    try:
        return old, built(new)
    except ValidationError:  # such as a formula over a feature that is gone
        assume(False)  # noqa: FBT003 - Hypothesis' own way
        raise


def extremes(contract: Contract) -> Iterator[dict[str, Any]]:
    """Customers that show a narrower contract: the example with one value at an edge of what is allowed."""
    base = contract.example
    yield base
    for feature in contract.features:
        values: list[Any] = [*feature.categories, True, False]
        if not feature.is_category:
            low, high = feature.lowest, feature.highest
            values += [int(low), int(high), low + 0.5]
        yield from (base | {feature.name: value} for value in values)
        yield base | {feature.name: None}
        yield {name: value for name, value in base.items() if name != feature.name}
    key = contract.key
    for text in ("a", "a" * key.max_length, "ä", *key.symbols):
        yield base | {key.name: text}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_compatible_contract_accepts_every_customer_and_a_breaking_one_refuses_some(data: st.DataObject) -> None:
    old, new = data.draw(pairs())
    before, after = customer_model(old), customer_model(new)
    difference = compare(old, new)
    drawn = data.draw(rows(old, max_size=5))
    valid = [row for row in [*drawn, *extremes(old)] if accepts(before, row)]
    refused = [row for row in valid if not accepts(after, row)]
    assert len(valid) > len(drawn)
    assert bool(refused) == (difference.verdict == "breaking"), difference
    assert (old == new) == (difference.verdict == "same")


def change(**features: dict[str, Any] | None) -> Contract:
    """Telco with some features changed; None drops one."""
    changed = document(telco())
    changed["features"] = [
        f | (features.get(f["name"]) or {}) for f in changed["features"] if features.get(f["name"], {}) is not None
    ]
    changed["slices"] = []
    return built(changed)


@pytest.mark.parametrize(
    ("features", "reason", "verdict"),
    [
        ({"gender": None}, "gender: removed; requests that send it are refused", "breaking"),
        ({"gender": {"categories": ["Female", "Other"]}}, "gender: without 'Male'", "breaking"),
        ({"gender": {"categories": ["Female", "Male", "Other"]}}, "gender: with 'Other'", "compatible"),
        ({"tenure_months": {"maximum": 600}}, "tenure_months: maximum 600, not 1200", "breaking"),
        ({"tenure_months": {"maximum": 2400}}, "tenure_months: maximum 2400, not 1200", "compatible"),
        ({"tenure_months": {"type": "number"}}, "tenure_months: type number, not integer", "compatible"),
        ({"monthly_charges": {"type": "integer"}}, "monthly_charges: type integer, not number", "breaking"),
        ({"total_charges": {"blank": None}}, "total_charges: may no longer be blank", "breaking"),
        ({"total_charges": {"blank": "median"}}, "total_charges: a blank counts as something else", "compatible"),
        ({"gender": {"blank": {"constant": "Male"}}}, "gender: may be blank now", "compatible"),
        ({"gender": {"categories": ["Male", "Female"]}}, "another order", "compatible"),
        ({"gender": {"description": "Other words."}}, "gender: only prose changed", "compatible"),
        ({"gender": {"aliases": ["sex"]}}, "other aliases or spellings, which only files use", "compatible"),
    ],
)
def test_the_reason_names_what_changed(features: dict[str, Any], reason: str, verdict: str) -> None:
    if features.get("total_charges") == {"blank": None}:
        changed = document(change())
        changed["features"][-1].pop("blank")
        new = built(changed)
    else:
        new = change(**features)
    difference = compare(change(), new)
    assert difference.verdict == verdict
    assert any(reason in str(r) and r.breaking == (verdict == "breaking") for r in difference.reasons)


def test_breaking_reasons_come_first() -> None:
    difference = compare(change(), change(gender={"description": "Other."}, tenure_months={"maximum": 600}))
    assert [r.breaking for r in difference.reasons] == [True, False]
    assert difference.breaking == difference.reasons[:1]


def test_a_renamed_feature_is_broken_although_files_may_use_the_old_name() -> None:
    new = document(change())
    new["features"][0] |= {"name": "sex", "aliases": ["gender"]}
    difference = compare(change(), built(new))
    assert [str(r) for r in difference.breaking] == [
        "gender: removed; requests that send it are refused (it is an alias of sex now, which only files use)",
        "sex: added without a rule for blanks; requests lack it",
    ]
