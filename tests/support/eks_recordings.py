"""The recordings that rules about the cluster look at: both AWS stacks, and one with managed nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from support.recorder import record_with, recorded

from ops.stack.recording import Recording

Rule = Callable[[Recording], list[str]]


@cache
def managed() -> Recording:
    """Staging with each option set the other way: managed nodes, Pod Identity, a private API server, no protection."""
    eks = {"nodes": "managed", "identity": "pod-identity", "public_cidrs": []}
    return record_with("staging", eks=eks, state={"protect": False}, network={"nat": "per-zone"})


RECORDINGS: Final[dict[str, Callable[[], Recording]]] = {
    "staging": lambda: recorded("staging"),
    "prod": lambda: recorded("prod"),
    "managed": managed,
}
