"""Hooks that Schemathesis loads in its own process, to change data that no client of this API would send."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis import HookContext


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole_numbers(item) for name, item in value.items()}
    return [_whole_numbers(item) for item in value] if isinstance(value, list) else value


@schemathesis.hook
def map_body(_: HookContext, body: Any) -> Any:
    """Write 1 and not 1.0: JSON Schema calls both an integer, this API only the first, and no schema can say so."""
    return _whole_numbers(body)
