"""The registry of the project's own images.

The repositories belong to the account, not to a stack: `ops/stack/repositories.py` creates them before any stack.
"""

from __future__ import annotations

from infra.naming import PROJECT


def address(account_id: str, region: str) -> str:
    """Return the part of a reference before the name of the image."""
    return f"{account_id}.dkr.ecr.{region}.amazonaws.com/{PROJECT}"
