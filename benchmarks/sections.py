"""Measured parts of a document that people wrote: between two comments, so that each is replaced alone."""

from __future__ import annotations


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def between(document: str, begin: str, end: str, text: str) -> str:
    """The document with ``text`` in place of what stands between two marks."""
    before, _, rest = document.partition(begin)
    return f"{before}{begin}{text}{end}{rest.partition(end)[2]}"


def put(document: str, name: str, section: str) -> str:
    """The document with its section of this name replaced, or appended where it has none."""
    begin, end = _marks(name)
    marked = document if begin in document else f"{document.rstrip()}\n\n{begin}{end}\n"
    return between(marked, begin, end, f"\n{section.strip()}\n")


def with_section_of(old: str, new: str, name: str) -> str:
    """A document written anew, with the section of this name as it was."""
    begin, end = _marks(name)
    if begin not in old:
        return new
    return put(new, name, old.partition(begin)[2].partition(end)[0])
