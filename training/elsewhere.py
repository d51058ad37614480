"""What a model that was trained elsewhere brings along, beside what a fit leaves behind here."""

from __future__ import annotations

from dataclasses import dataclass

from app.bundle import Golden


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A model from a file.

    ``graph`` is the file's graph, or its pipeline's, in the form that serving runs. ``golden`` are the rows that came
    with a graph; a pipeline needs none, because it can score itself.
    """

    file: str
    sha256: str
    graph: bytes
    golden: Golden | None
