"""Documents with a few places changed to anything that JSON can say, as a Hypothesis strategy."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, inner in items for deeper in _paths(inner, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn, document: dict[str, Any], places: int) -> dict[str, Any]:
    """A copy of a document with at most so many places changed."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, places))):
        *path, last = draw(st.sampled_from([p for p in _paths(document) if p]))
        holder: Any = document
        for part in path:
            holder = holder[part]
        holder[last] = copy.deepcopy(draw(_ANYTHING))
    return document
