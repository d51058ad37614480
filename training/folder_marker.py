"""Says what an output folder is to the writers of its parts, and which files in one an earlier run wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from training.files import PathError

SUCCESS: Final = "_SUCCESS"
"""The file that is written last; readers of tables in parts skip it, as they skip Spark's."""
_FORCE: Final = "name another folder, or replace it with --force"


class Folder(Protocol):
    """A folder that is being written."""

    def path(self, name: str) -> Path:
        """The local path at which to write a part, whose name is relative to the folder."""

    def put(self, name: str) -> None:
        """Take over a part that is complete."""

    def finish(self, marker: Mapping[str, Any]) -> None:
        """Set the content of ``_SUCCESS``; its ``parts`` have a ``name`` each."""


def check_replaceable(out: str, names: Iterable[str], marker: Mapping[str, Any] | None, *, overwrite: bool) -> None:
    """Check that a folder is empty, or holds nothing but an earlier run's parts, which may be replaced.

    Args:
        out: the folder, for messages.
        names: of the files in it, relative to it.
        marker: the content of its ``_SUCCESS``; ``None`` if there is none.
        overwrite: whether the parts may be replaced.

    Raises:
        PathError: something in it would be lost.
    """
    present = sorted(names)
    if present and not overwrite:
        raise PathError(out, f"the folder is not empty (it holds {present[0]})", _FORCE)
    ours = {SUCCESS} | names_in(marker) if marker else set()
    foreign = next((name for name in present if name not in ours), None)
    if foreign is not None:
        raise PathError(
            out, f"it holds {foreign}, which no earlier scoring wrote", "name another folder, or move that file away"
        )


def names_in(marker: Mapping[str, Any] | None) -> set[str]:
    """The parts that the content of a ``_SUCCESS`` lists; none if it is of another program."""
    try:
        return {str(part["name"]) for part in (marker or {}).get("parts", ())}
    except (TypeError, KeyError):
        return set()


def read_marker(content: bytes) -> Mapping[str, Any] | None:
    """The content of a ``_SUCCESS``; ``None`` if it is of another program."""
    try:
        marker = json.loads(content)
    except ValueError:
        return None
    return marker if isinstance(marker, dict) else None
