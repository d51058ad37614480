"""Random contracts and rows that are valid by them, as Hypothesis strategies."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from app.contract import Contract
from app.feature import Feature, Value

_NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=6).map(lambda text: f"f_{text}")
_TEXTS = st.text("abcXYZ äß.()-/1", min_size=1, max_size=8).map(str.strip).filter(bool)
_BOUND = 10**6
_FORMULAS = ("{a} * {b}", "{a} / {b}", "min({a}, {b}) - 2.5", "-({a} + {b})", "max({a}, {b}, 1) / 3")


def value(feature: Feature | Mapping[str, Any]) -> st.SearchStrategy[Value]:
    """A valid value of a feature, apart from a blank."""
    one = feature if isinstance(feature, Feature) else Feature.model_validate(feature)
    if one.is_category:
        return st.sampled_from(one.categories)
    if one.type == "boolean":
        return st.booleans()
    if one.integer:
        return st.integers(int(one.lowest), int(one.highest))
    return st.floats(one.lowest, one.highest, allow_nan=False)


@st.composite
def _feature(draw: st.DrawFn, name: str) -> dict[str, Any]:
    kind = draw(st.sampled_from(("category", "integer", "number", "boolean")))
    feature: dict[str, Any] = {"name": name, "type": kind}
    if kind == "category":
        # Unlike in lower case too, as categories are read from a file in any case.
        feature["categories"] = draw(st.lists(_TEXTS, min_size=2, max_size=5, unique_by=str.lower).map(tuple))
    elif kind != "boolean":
        low = draw(st.integers(-_BOUND, _BOUND))
        feature |= {"minimum": float(low), "maximum": float(low + draw(st.integers(1, _BOUND)))}
    blank = draw(st.sampled_from(("none", "constant", "median")))
    if blank == "constant":
        feature["blank"] = {"constant": draw(value(feature))}
    elif blank == "median" and kind != "category":
        feature["blank"] = "median"
    return feature


def _fairness(slices: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Limits for some of the slices: a ratio, and perhaps a difference."""
    compared = st.lists(st.sampled_from(slices), min_size=1, unique=True).map(tuple)
    ratio, difference = st.floats(0.01, 1), st.floats(0.01, 0.99)
    return st.fixed_dictionaries(
        {"slices": compared, "demographic_parity_ratio_min": ratio},
        optional={"equalized_odds_difference_max": difference, "undecided": st.sampled_from(("pass", "refuse"))},
    )


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """A small contract with every type of feature and every kind of blank."""
    names = draw(st.lists(_NAMES, min_size=1, max_size=6, unique=True))
    features = [draw(_feature(name)) for name in names]
    numbers = [f["name"] for f in features if f["type"] != "category" and "blank" not in f]
    if draw(st.booleans()) and numbers:
        formula = draw(st.sampled_from(_FORMULAS)).format(
            a=draw(st.sampled_from(numbers)), b=draw(st.sampled_from(numbers))
        )
        bounds = {"minimum": -1.0, "maximum": 1.0}
        features.append({"name": "computed", "type": "number", "blank": {"expression": formula}} | bounds)
    slices = draw(st.lists(st.sampled_from([f["name"] for f in features]), max_size=2, unique=True).map(tuple))
    document: dict[str, Any] = {
        "contract": 1,
        "name": "random",
        "features": tuple(features),
        "slices": slices,
        "example": {f["name"]: draw(value(f)) for f in features},
    }
    if draw(st.booleans()) and slices:
        document["fairness"] = draw(_fairness(slices))
    return Contract.model_validate(document)


def rows(contract: Contract, *, min_size: int = 1, max_size: int = 20) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Valid customers without a key; a feature that may be blank is sometimes None and sometimes left out."""
    required = {f.name: value(f) for f in contract.features if not f.nullable}
    optional = {f.name: st.none() | value(f) for f in contract.features if f.nullable}
    return st.lists(st.fixed_dictionaries(required, optional=optional), min_size=min_size, max_size=max_size)


def invalid_value(feature: Feature) -> st.SearchStrategy[Value | None]:
    """A value that neither JSON nor a file may have for a feature, in a type that both can write.

    Left out is what files alone understand, as docs/contract.md says: another case, words for a blank, other words for
    true and false, and marks between thousands.
    """
    wrong: st.SearchStrategy[Value]
    if feature.is_category:
        accepted = {text.lower() for text in feature.categories}
        wrong = _TEXTS.filter(lambda text: text.lower() not in accepted and not text.isdigit())
    elif feature.type == "boolean":
        wrong = st.integers(2, 9) | st.sampled_from(("maybe", "yess", "t rue"))
    else:
        beyond = st.integers(1, _BOUND)
        above, below = beyond.map(lambda n: int(feature.highest) + n), beyond.map(lambda n: int(feature.lowest) - n)
        wrong = above | below | st.sampled_from(("five", "12 apples", "1e999", "--1"))
        if feature.integer:
            wrong |= st.integers(int(feature.lowest), int(feature.highest) - 1).map(lambda number: number + 0.5)
    return wrong if feature.nullable else wrong | st.none()


def medians(contract: Contract) -> dict[str, float]:
    """A median of each feature whose blanks count as one: between its bounds, and seldom a whole number."""
    return {f.name: f.lowest + (f.highest - f.lowest) / 3 for f in contract.features if f.blank == "median"}


def small_bank() -> Contract:
    """A business unlike the built-in one: each type of feature, each kind of blank, and e-mails as keys."""
    return Contract.model_validate(
        {
            "contract": 1,
            "name": "small-bank",
            "key": {"name": "email", "symbols": "_.-@+", "aliases": ("E-Mail",)},
            "label": {"name": "left", "aliases": ("Exited",), "churned": ("gone",), "stayed": ("here",)},
            "as_of": "day",
            "features": (
                {"name": "credit_score", "type": "integer", "minimum": 300.0, "maximum": 900.0},
                {
                    "name": "geography",
                    "type": "category",
                    "categories": ("France", "Germany", "Spain"),
                    "blank": {"constant": "France"},
                    "spellings": {"DE": "Germany"},
                },
                {"name": "age", "type": "integer", "minimum": 16.0, "maximum": 120.0, "unit": "years"},
                {"name": "balance", "type": "number", "minimum": 0.0, "maximum": 1e7, "blank": "median"},
                {"name": "active_member", "type": "boolean", "aliases": ("IsActiveMember",)},
                {"name": "products", "type": "integer", "minimum": 1.0, "maximum": 9.0, "spellings": {"one": 1}},
                {
                    "name": "salary",
                    "type": "number",
                    "minimum": 0.0,
                    "maximum": 1e6,
                    "blank": {"expression": "credit_score * 100"},
                },
            ),
            "slices": ("geography", "active_member", "age"),
            "cost": {"offer_cost": 50.0, "customer_value": 1000.0, "retained_share": 0.2},
            "ignored": ("RowNumber",),
            "leaks": ("Complain",),
            "example": {
                "email": "a+b@example.org",
                "credit_score": 600,
                "geography": "Spain",
                "age": 40,
                "balance": 1000.5,
                "active_member": True,
                "products": 2,
                "salary": 50000.0,
            },
        }
    )


def small_bank_customers(count: int, seed: int) -> pd.DataFrame:
    """Customers of :func:`small_bank` whose labels can be learnt; a tenth of each column with blanks is blank."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "email": [f"c{number}+x@example.org" for number in range(count)],
            "credit_score": rng.integers(300, 901, count),
            "geography": rng.choice(["France", "Germany", "Spain"], count),
            "age": rng.integers(18, 80, count),
            "balance": rng.uniform(0, 200_000, count).round(2),
            "active_member": rng.random(count) < 0.5,
            "products": rng.integers(1, 5, count),
            "salary": rng.uniform(10_000, 150_000, count).round(2),
        }
    )
    logit = 0.08 * (frame["age"] - 45) + 1.0 * (frame["geography"] == "Germany") - 1.2 * frame["active_member"]
    frame["left"] = (rng.random(count) < 1 / (1 + np.exp(-logit.to_numpy(dtype=float)))).astype(int)
    for name in ("geography", "balance", "salary"):
        frame.loc[rng.random(count) < 0.1, name] = None
    return frame


def small_bank_snapshots(customers: int, months: int, seed: int = 1) -> pd.DataFrame:
    """Customers of :func:`small_bank` with a row for each month until they leave, as monthly snapshots have them."""
    rng = np.random.default_rng(seed)
    frame, parts = small_bank_customers(customers, seed), []
    for month in range(months):
        risk = 0.04 + 0.12 * (frame["age"] > 50) + 0.12 * (frame["geography"] == "Germany")
        frame["left"] = (rng.random(len(frame)) < risk).astype(int)
        parts.append(frame.assign(day=f"2026-{month + 1:02d}-01"))
        frame = frame[frame["left"] == 0].copy()
    return pd.concat(parts, ignore_index=True)


def with_feature(contract: Contract, name: str, **changes: Any) -> Contract:
    """The contract with changes to one feature."""
    features = tuple(
        Feature.model_validate(f.model_dump() | changes) if f.name == name else f for f in contract.features
    )
    # Built anew, not copied: a copy would keep the digest that was computed for the other contract.
    return Contract.model_validate(contract.model_dump() | {"features": features})
