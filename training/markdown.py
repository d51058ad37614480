"""Tables in Markdown, and Markdown adapted to MLflow's pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_MEANING: Final = re.compile(r"([\\`*_\[\]<>|#!])")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table; its cells are already Markdown."""
    lines = [head, [":---" for _ in head], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(text: str) -> str:
    """Make text that a person wrote fit for one cell: on one line, with Markdown escaped."""
    return " ".join(_MEANING.sub(r"\\\1", text).split())


def for_mlflow(text: str) -> str:
    """Put each paragraph on one line, and space between the columns of tables.

    MLflow's pages break lines where the text does, and set the columns of a table without a gap.
    """
    blocks = text.strip().split("\n\n")
    return "\n\n".join(_with_gaps(b) if b.startswith("|") else _unwrapped(b) for b in blocks) + "\n"


def replaced_section(text: str, heading: str, instead: str) -> str:
    """The text with another body of the section under a heading, up to the next heading of the same level."""
    before, mark, rest = text.partition(f"\n## {heading}\n")
    if not mark:
        return text
    _, following, after = rest.partition("\n## ")
    return f"{before}{mark}\n{instead}\n{following}{after}"


def _with_gaps(block: str) -> str:
    head, rule, *rows = block.split("\n")
    return "\n".join([_gap(head), rule, *map(_gap, rows)])


def _gap(row: str) -> str:
    """Cells end with a space as wide as a letter, which no page leaves out."""
    return re.sub(r"(?<=\S) \| (?=\S)", "&emsp; | ", row)


def _unwrapped(block: str) -> str:
    return block if block.startswith(("#", "-", "*", "1.")) else " ".join(block.split("\n"))
