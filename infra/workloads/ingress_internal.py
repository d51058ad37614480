"""Hosts that NGINX serves only to clients inside: to others there is nothing at these names.

The internal balancer alone would not do: NGINX knows a request's host by a header, so anybody could ask for an internal
host through the public balancer. The client's address decides, which both kinds of balancer hand on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

INSIDE: Final = "$edge_inside"
CLOSED: Final = "$edge_closed"


@dataclass(frozen=True, kw_only=True)
class Internal:
    """The hosts, and the networks of the clients who may use them."""

    hosts: Sequence[str]
    cidrs: Sequence[str]


def http_snippets(internal: Internal) -> str:
    """Return the variable that says whether a host is closed to a client."""
    networks = "".join(f" {cidr} 1;" for cidr in internal.cidrs)
    hosts = "".join(f' "0 {host}" 1;' for host in internal.hosts)
    return "\n".join(
        [
            f"geo {INSIDE} {{ default 0;{networks} }}",
            f'map "{INSIDE} $server_name" {CLOSED} {{ default 0;{hosts} }}',
        ]
    )


def server_snippets() -> str:
    """Return what every host does first."""
    return f"if ({CLOSED}) {{ return 404; }}"
