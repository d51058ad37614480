"""Values of the stack files that stand for one's own: networks and names that the standards reserve for documentation.

They are valid, so nothing else would refuse them: a stack with them comes up for half an hour, waits for a certificate
that nobody can issue, and admits nobody to its API server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any, Final

from infra.config import ConfigError, Settings
from infra.naming import PROJECT

NETWORKS: Final = tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
"""Networks for documentation (RFC 5737)."""
NAME: Final = re.compile(r"(?:^|[@./])example(?:\.(?:com|net|org))?(?=$|[:/])", re.IGNORECASE)
"""Names for documentation (RFC 2606)."""


def _values(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text with its key."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from _values(inner, f"{path}.{key}" if path else f"{PROJECT}:{key}")
        case list() | tuple():
            for inner in value:
                yield from _values(inner, path)
        case str():
            yield path, value


def _is_placeholder(text: str) -> bool:
    if NAME.search(text):
        return True
    try:
        network = IPv4Network(text)
    except ValueError:
        return False
    return any(network.overlaps(reserved) for reserved in NETWORKS) and network.prefixlen > 0


def placeholders(settings: Settings) -> list[str]:
    """Return a line for each value that still stands for one's own; a local stack works with them."""
    if settings.cluster.kind == "local":
        return []
    return [
        f"{key} is {text!r}, which stands for a value of your own: write that into Pulumi.{settings.stack}.yaml"
        for key, text in _values(settings.model_dump(), "")
        if _is_placeholder(text)
    ]


def refuse_placeholders(settings: Settings) -> None:
    """Check that no value is a placeholder, before anything is made.

    Raises:
        ConfigError: with a line for each that is.
    """
    lines = placeholders(settings)
    if lines:
        raise ConfigError("\n".join([f"Pulumi.{settings.stack}.yaml cannot work:", *(f"  {line}" for line in lines)]))
