"""The error for a model from elsewhere that cannot be registered."""

from __future__ import annotations

from pathlib import Path


class ForeignModelError(Exception):
    """A file that came with a model from elsewhere does not fit; the message names the file, the reason and the remedy.

    Nothing is registered.
    """

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path.name} {reason}: {remedy}")
