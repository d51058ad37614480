"""Names of MLflow's users that the platform itself logs in with."""

from __future__ import annotations

from typing import Final

READERS: Final = frozenset({"api"})
"""Users whose requests may only read; the migration takes no other name for a reader."""
