"""Measured parts of a document that people wrote: between two comments, so that each is replaced alone."""

from __future__ import annotations


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def put(document: str, name: str, section: str) -> str:
    """The document with its section of this name replaced, or appended where it has none."""
    begin, end = _marks(name)
    measured = f"{begin}\n{section.strip()}\n{end}"
    if begin not in document:
        return f"{document.rstrip()}\n\n{measured}\n"
    before, _, rest = document.partition(begin)
    return f"{before}{measured}{rest.partition(end)[2]}"


def kept(old: str, new: str, name: str) -> str:
    """A document written anew, with the section of this name as it was."""
    begin, end = _marks(name)
    if begin not in old:
        return new
    return put(new, name, old.partition(begin)[2].partition(end)[0])
