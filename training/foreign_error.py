"""The error for a model from elsewhere that cannot be registered."""

from __future__ import annotations

from pathlib import Path


class ForeignModelError(Exception):
    """A file that came with a model from elsewhere does not fit; the message names the file, the reason and the remedy.

    Nothing is registered.
    """

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path.name} {reason}: {remedy}")


def check_present(*paths: Path | None) -> None:
    """Report a missing file before libraries and servers take their time to start; None is skipped.

    Raises:
        ForeignModelError: there is no such file.
    """
    for path in paths:
        if path is not None and not path.is_file():
            raise ForeignModelError(path, f"is no file at {path.parent}", "name the file as it is")
