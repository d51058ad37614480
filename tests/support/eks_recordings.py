"""The recordings that rules about the cluster look at: both AWS stacks, and one with managed nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from support.recorder import record_with, recorded

from ops.stack.recording import Recording

Rule = Callable[[Recording], list[str]]


def managed() -> Recording:
    """Staging with managed nodes and Pod Identity: the recording of `test_aws_rules.other_way`, from the same cache."""
    eks = {"nodes": "managed", "identity": "pod-identity", "public_cidrs": []}
    return record_with("staging", eks=eks, state={"protect": False}, network={"nat": "per-zone"})


RECORDINGS: Final[dict[str, Callable[[], Recording]]] = {
    "staging": lambda: recorded("staging"),
    "prod": lambda: recorded("prod"),
    "managed": managed,
}
