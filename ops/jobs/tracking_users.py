"""Names of the MLflow users that the platform itself logs in as."""

from __future__ import annotations

from typing import Final

READERS: Final = frozenset({"api"})
"""Users whose requests may only read; the migration accepts no other name for a reader."""
