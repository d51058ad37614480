"""The folder of scores: one part for each part of the source, or parts of so many rows for a source in one file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa

from training.answers import Answers, writer
from training.folder_marker import Folder

PART_ROWS: Final = 1_000_000
"""Rows of a part, for a source in one file."""
_ENDINGS: Final = re.compile(r"\.(csv|tsv|txt|parquet|pq|xlsx)?(\.(gz|zst|bz2))?$", re.IGNORECASE)


class AnswerWriter(Protocol):
    """Writes answers to one file or several.

    Attributes:
        count: files that it has written to.
    """

    @property
    def count(self) -> int: ...

    def append(self, batch: pa.RecordBatch, source: str) -> None:
        """Write a batch that comes from the part ``source``, whose name is empty for a source in one file."""


def part_names(sources: Sequence[str], extension: str) -> dict[str, str]:
    """The name of the output for each part of the source: the same, with the extension of the output.

    Parts that would have one name, such as ``a.csv`` and ``a.parquet``, keep their own extensions before it.
    """
    short = {source: _ENDINGS.sub("", source) or source for source in sources}
    often = Counter(short.values())
    return {source: (stem if often[stem] == 1 else source) + extension for source, stem in short.items()}


@contextmanager
def answer_parts(folder: Folder, answers: Answers, sources: Sequence[str]) -> Iterator[AnswerWriter]:
    """Write batches to the parts of a folder, and list the parts in it if the context ends without an error.

    Args:
        folder: receives the parts.
        answers: what the parts hold, and their format.
        sources: names of the source's parts; empty for a source in one file.
    """
    extension = ".csv" if answers.csv else ".parquet"
    parts = _Parts(folder, answers, part_names(sources, extension), extension)
    try:
        yield parts
        parts.close()
    finally:
        parts.drop()
    folder.finish(answers.metadata() | {"rows": sum(parts.rows.values()), "parts": parts.listed()})


@contextmanager
def answer_file(path: Path, answers: Answers) -> Iterator[AnswerWriter]:
    """Write all batches to one file."""
    with writer(path, answers) as write:
        yield _File(write)


class _File:
    """Writes one file, wherever a batch comes from."""

    count = 1

    def __init__(self, write: Callable[[pa.RecordBatch], None]) -> None:
        self._write = write

    def append(self, batch: pa.RecordBatch, source: str) -> None:  # noqa: ARG002 - as the writer of parts
        self._write(batch)


class _Parts:
    """Writes one part after another."""

    def __init__(self, folder: Folder, answers: Answers, names: dict[str, str], extension: str) -> None:
        self._folder = folder
        self._answers = answers
        self._names = names
        self._extension = extension
        self._name = ""
        self._stack = ExitStack()
        self._write: Callable[[pa.RecordBatch], None]
        self.rows: dict[str, int] = {}

    @property
    def count(self) -> int:
        return len(self.rows)

    def append(self, batch: pa.RecordBatch, source: str) -> None:
        if source:
            self._add(self._names[source], batch)
            return
        while batch.num_rows:
            done = sum(self.rows.values())
            here = batch.slice(0, PART_ROWS - done % PART_ROWS)
            self._add(f"part-{done // PART_ROWS:05d}{self._extension}", here)
            batch = batch.slice(here.num_rows)

    def close(self) -> None:
        """Finish the current part."""
        if self._name:
            self._stack.close()
            self._folder.put(self._name)
            self._name = ""

    def drop(self) -> None:
        """Close the current part without handing it over."""
        self._stack.close()

    def listed(self) -> list[dict[str, Any]]:
        return [{"name": name, "rows": rows} for name, rows in self.rows.items()]

    def _add(self, name: str, batch: pa.RecordBatch) -> None:
        if name != self._name:
            self.close()
            self._write = self._stack.enter_context(writer(self._folder.path(name), self._answers))
            self._name = name
        self._write(batch)
        self.rows[name] = self.rows.get(name, 0) + batch.num_rows
