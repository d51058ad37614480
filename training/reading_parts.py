"""Tables in several files: a folder, a glob or a prefix in S3, read one part after another."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from training.files import file_sha256, is_pattern, pattern_root
from training.truth import TRUTH_ENDING
from training.violations import FILE, Batches, DataError, Findings, Judge, RowNumbers, Violation, file_error, shown

MAX_PARTS: Final = 100_000
_HIDDEN: Final = (".", "_")
"""How the names of files begin that are no data, such as Spark's _SUCCESS."""
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
_KINDS: Final = (
    pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_temporal,
)  # fmt: skip

Fetch = Callable[[str], AbstractContextManager[Path]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file of a table: its name below the folder, where it is, and its size in bytes."""

    name: str
    address: str
    size: int

    @property
    def keys(self) -> dict[str, str | None]:
        """The columns that the folders of a partitioned table give: ``country=DE/part-0.parquet``."""
        pairs = (folder.split("=", 1) for folder in PurePosixPath(self.name).parts[:-1] if "=" in folder)
        return {unquote(key): None if value == _NO_VALUE else unquote(value) for key, value in pairs}


class Parts:
    """The files of a table, each of which is fetched only while it is read."""

    def __init__(self, source: str, files: Sequence[Part], fetch: Fetch | None = None) -> None:
        """Sort the files by name.

        Args:
            source: as the caller named it, for messages.
            files: at least one.
            fetch: provides a local copy of an address; without it an address is a local path.

        Raises:
            DataError: no file, or more than the bound.
        """
        if not files:
            raise file_error(source, "no file with data in it", "CSV, Excel or Parquet files")
        if len(files) > MAX_PARTS:
            raise file_error(source, f"{len(files):,} files", f"at most {MAX_PARTS:,}")
        self.source = source
        self.files = sorted(files, key=lambda part: part.name)
        self._fetch = fetch
        self._digests: dict[str, str] = {}

    @property
    def size(self) -> int:
        return sum(part.size for part in self.files)

    def opened(self, part: Part, stack: ExitStack) -> Path:
        """A local file with a part, for as long as ``stack`` is open."""
        path = stack.enter_context(self._fetch(part.address) if self._fetch else nullcontext(Path(part.address)))
        if self._fetch:
            self._digests[part.name] = file_sha256(path)
        return path

    def sha256(self) -> str:
        """Hexadecimal sha256 over the names and digests of all parts; those from elsewhere must have been read."""
        total = hashlib.sha256()
        for part in self.files:
            digest = self._digests.get(part.name) or file_sha256(Path(part.address))
            total.update(f"{part.name}\0{digest}\n".encode())
        return total.hexdigest()


def local_parts(source: str) -> Parts:
    """The files of a folder and the folders in it, or those that a pattern matches.

    Raises:
        DataError: there is none.
    """
    if is_pattern(source):
        root = pattern_root(source)
        paths = [Path(name) for name in glob.glob(source, recursive=True)]  # noqa: PTH207 - Path.glob takes no absolute pattern
        files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else (path,))]
    else:
        root = Path(source)
        files = list(root.rglob("*"))
    return Parts(source, [
        Part(name=name, address=str(path), size=path.stat().st_size)
        for path in dict.fromkeys(files)
        if path.is_file() and is_data(name := path.relative_to(root).as_posix())
    ])  # fmt: skip


def is_data(name: str) -> bool:
    """Whether a file below a folder is a part of the table, by its name."""
    return not any(part.startswith(_HIDDEN) for part in PurePosixPath(name).parts) and not name.endswith(TRUTH_ENDING)


class PartsTable:
    """A table in parts; its rows are counted over all of them."""

    def __init__(self, parts: Parts, findings: Findings, open_: Callable[[Path, Findings], Any]) -> None:
        self._parts = parts
        self._findings = findings
        self._open = open_
        self._lines: dict[int, int] = {}
        self._stack = ExitStack()
        self.rows = 0
        self.done = 0.0
        self._first = self._next(parts.files[0], self._stack)
        self._keys = parts.files[0].keys
        inside: list[pa.Field] = list(self._first.fields)
        both = [field.name for field in inside if field.name in self._keys]
        if both:
            raise file_error(
                parts.source, f"column {both[0]!r} is in the files and in the names of the folders", "one of the two"
            )
        self.fields = [*inside, *(pa.field(key, pa.string()) for key in self._keys)]

    def batches(self, columns: Mapping[str, str], batch_rows: int) -> Batches:
        inside = {name: theirs for name, theirs in columns.items() if theirs not in self._keys}
        outside = {name: theirs for name, theirs in columns.items() if theirs in self._keys}
        size, bytes_done = max(self._parts.size, 1), 0
        for part in self._parts.files:
            keys = part.keys
            with ExitStack() as stack:
                table = self._table(part, stack)
                if table is None:
                    continue
                for rows, batch in table.batches(inside, batch_rows):
                    constant = {name: _constant(keys[key], len(rows)) for name, key in outside.items()}
                    self.done = (bytes_done + table.done * part.size) / size
                    yield rows + self._before, dict(batch) | constant
                self.rows = self._before + table.rows
                self._place(table)
            bytes_done += part.size

    def lines(self, rows: Sequence[int]) -> Mapping[int, int]:
        return {row: self._lines[row] for row in rows if row in self._lines}

    def close(self) -> None:
        self._stack.close()

    def _table(self, part: Part, stack: ExitStack) -> Any:
        """The open table of a part; ``None`` if it has other columns than the first, which is reported."""
        self._before = self.rows
        self._findings.begin_part(part.name, self._before)
        if part is self._parts.files[0]:
            stack.callback(self._stack.close)
            return self._first
        try:
            table = self._next(part, stack)
        except DataError as error:
            for violation in error.violations:
                self._findings.add(_of(part.name, violation))
            return None
        problem = self._other_columns(part, table)
        if problem:
            self._findings.add(
                Violation(
                    column=FILE, rows=(), count=0, value=f"{part.name} {problem}",
                    expected="the same columns in each part", cause="parts",
                )
            )  # fmt: skip
            return None
        return table

    def _next(self, part: Part, stack: ExitStack) -> Any:
        path = self._parts.opened(part, stack)
        try:
            table = self._open(path, _PartFindings(self._findings, part.name, self.rows))
        except DataError as error:
            if part is self._parts.files[0]:
                raise DataError(self._parts.source, [_of(part.name, v) for v in error.violations]) from error
            raise
        stack.callback(table.close)
        return table

    def _other_columns(self, part: Part, table: Any) -> str:
        first = {field.name: field.type for field in self._first.fields} | dict.fromkeys(self._keys, pa.string())
        here = {field.name: field.type for field in table.fields} | dict.fromkeys(part.keys, pa.string())
        missing, more = [n for n in first if n not in here], [n for n in here if n not in first]
        if missing or more:
            words = [f"has no column {shown(', '.join(missing))}"] if missing else []
            words += [f"has the extra column {shown(', '.join(more))}"] if more else []
            return f"{' and '.join(words)}, unlike {self._parts.files[0].name}"
        other = next((name for name in here if _kind(here[name], first[name]) != _kind(first[name], here[name])), None)
        if other is None:
            return ""
        return f"has {other} as {here[other]}, and {self._parts.files[0].name} has it as {first[other]}"

    def _place(self, table: Any) -> None:
        """Remember the lines of the rows that messages name, while the part is there."""
        rows = [row - self._before for row in self._findings.rows_shown() if row > self._before]
        self._lines |= {row + self._before: line for row, line in table.lines(rows).items()}


class _PartFindings(Findings):
    """Passes on what a reader finds in one part, with the rows counted over all parts, and the name of the part."""

    def __init__(self, all_: Findings, name: str, before: int) -> None:
        super().__init__(all_.contract)
        self.changes = all_.changes
        self._all = all_
        self._name = name
        self._before = before

    def add(self, violation: Violation) -> None:
        self._all.add(_of(self._name, violation))

    def add_cells(self, column: str, expected: str, rows: RowNumbers, values: pa.Array, judge: Judge) -> None:
        self._all.add_cells(column, expected, rows + self._before, values, judge)

    def stop(self, why: str) -> None:
        self._all.stop(f"{self._name}: {why}")


def _of(name: str, violation: Violation) -> Violation:
    return replace(violation, value=f"{name}: {violation.value}")


def _constant(value: str | None, rows: int) -> pa.Array:
    texts = pa.array([value] if value is not None else [], pa.string())
    indices = np.zeros(rows, dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(indices, mask=np.full(rows, value is None)), texts)


def _kind(kind: pa.DataType, other: pa.DataType) -> object:
    """The family of a type; a column of nulls belongs to any."""
    kind = other if pa.types.is_null(kind) else kind
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return next((family for family in _KINDS if family(kind)), None)
