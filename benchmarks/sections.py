"""Measured sections of a document that people write: each is between two comments, and replaced on its own."""

from __future__ import annotations


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def between(document: str, begin: str, end: str, text: str) -> str:
    """Replace what is between two marks of a document by ``text``."""
    before, _, rest = document.partition(begin)
    return f"{before}{begin}{text}{end}{rest.partition(end)[2]}"


def put(document: str, name: str, section: str) -> str:
    """Replace the section of this name in a document, or append it if there is none."""
    begin, end = _marks(name)
    marked = document if begin in document else f"{document.rstrip()}\n\n{begin}{end}\n"
    return between(marked, begin, end, f"\n{section.strip()}\n")


def with_section_of(old: str, new: str, name: str) -> str:
    """Keep the section of this name of an old document in its new text."""
    begin, end = _marks(name)
    if begin not in old:
        return new
    return put(new, name, old.partition(begin)[2].partition(end)[0])
