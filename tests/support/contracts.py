"""Random contracts and rows that are valid by them, as Hypothesis strategies."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

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
    return Contract.model_validate(
        {
            "contract": 1,
            "name": "random",
            "features": tuple(features),
            "example": {f["name"]: draw(value(f)) for f in features},
        }
    )


def rows(contract: Contract, *, min_size: int = 1, max_size: int = 20) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Valid customers without a key; a feature that may be blank is sometimes None and sometimes left out."""
    required = {f.name: value(f) for f in contract.features if not f.nullable}
    optional = {f.name: st.none() | value(f) for f in contract.features if f.nullable}
    return st.lists(st.fixed_dictionaries(required, optional=optional), min_size=min_size, max_size=max_size)


def medians(contract: Contract) -> dict[str, float]:
    """A median of each feature whose blanks count as one: between its bounds, and seldom a whole number."""
    return {f.name: f.lowest + (f.highest - f.lowest) / 3 for f in contract.features if f.blank == "median"}
