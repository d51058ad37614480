"""What is wrong with a data file, all of it, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

ROWS_SHOWN: Final = 10
LINES_SHOWN: Final = 50
VALUES_KEPT: Final = 20
"""Distinct wrong values kept for each column and expectation; the rest are counted together."""
VALUE_CHARACTERS: Final = 60
FILE: Final = "(file)"
"""Stands where a violation is about the file, not a column."""

BLANK: Final = "(blank)"
_OTHERS: Final = "(other values)"

RowNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One wrong value of one column, or the whole column or file when ``rows`` is empty.

    ``rows`` has the first ten data rows with it, counted from 1 without the header; ``count`` says how many there are.
    """

    column: str
    rows: tuple[int, ...]
    count: int
    value: str
    expected: str

    def __str__(self) -> str:
        where = ""
        if self.rows:
            more = f" and {self.count - len(self.rows):,} more" if self.count > len(self.rows) else ""
            plural = "row" if self.count == 1 else "rows"
            where = f" {plural} {', '.join(map(str, self.rows))}{more}:"
        return f"{self.column}:{where} {self.value}; expected {self.expected}"


class DataError(Exception):
    """A data file that cannot be used, with every reason found: nothing was trained or written."""

    def __init__(self, source: str, violations: Iterable[Violation]) -> None:
        self.source = source
        self.violations = tuple(violations)
        super().__init__(source, self.violations)

    def as_dict(self) -> dict[str, Any]:
        """The same for a program that reads JSON."""
        groups = [asdict(violation) for violation in self.violations]
        return {"source": self.source, "problems": len(groups), "groups": groups}

    def __str__(self) -> str:
        many = len(self.violations)
        lines = [f"{self.source}: {many} {'problem' if many == 1 else 'problems'}"]
        lines += [f"  {violation}" for violation in self.violations[:LINES_SHOWN]]
        if many > LINES_SHOWN:
            lines.append(f"  and {many - LINES_SHOWN} more")
        return "\n".join(lines)


def file_error(source: str, value: str, expected: str) -> DataError:
    """The error for a file that cannot be read at all."""
    return DataError(source, [Violation(column=FILE, rows=(), count=0, value=value, expected=expected)])


class Findings:
    """Gathers violations batch by batch; memory stays bounded however many rows are wrong."""

    def __init__(self) -> None:
        self._whole: list[Violation] = []
        self._cells: dict[tuple[str, str], dict[str, tuple[list[int], int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._whole or self._cells)

    def add_column(self, column: str, value: str, expected: str) -> None:
        """A violation of a whole column or of the file."""
        self._whole.append(Violation(column=column, rows=(), count=0, value=shown(value), expected=expected))

    def add_cells(self, column: str, expected: str, rows: RowNumbers, values: pa.Array) -> None:
        """Wrong values of one column in the data rows ``rows`` (1-based); ``values`` holds them in any Arrow type."""
        if not len(rows):
            return
        # Cut before grouping: a field may be megabytes long. One character more than is shown marks the cut.
        text = pc.utf8_slice_codeunits(pc.cast(values, pa.string(), safe=False), 0, VALUE_CHARACTERS + 1)
        grouped = pc.fill_null(text, "").dictionary_encode()
        codes = np.asarray(grouped.indices)
        kept = self._cells.setdefault((column, expected), {})
        for code, value in enumerate(grouped.dictionary[: 2 * VALUES_KEPT].to_pylist()):
            key = shown(repr(value)) if value.strip() else BLANK
            if key in kept or len(kept) < VALUES_KEPT:
                _count(kept, key, rows[codes == code])
                codes = np.where(codes == code, -1, codes)
        _count(kept, _OTHERS, rows[codes >= 0])

    def violations(self) -> tuple[Violation, ...]:
        """Everything found: whole columns first, then values in the order they came up."""
        cells = (
            Violation(column=column, rows=tuple(rows), count=count, value=value, expected=expected)
            for (column, expected), values in self._cells.items()
            for value, (rows, count) in values.items()
        )
        return (*self._whole, *cells)

    def raise_if_any(self, source: str) -> None:
        if self:
            raise DataError(source, self.violations())


def shown(value: str) -> str:
    """``value`` at a length fit for a message."""
    return value if len(value) <= VALUE_CHARACTERS else value[:VALUE_CHARACTERS] + "…"


def _count(kept: dict[str, tuple[list[int], int]], key: str, rows: RowNumbers) -> None:
    if len(rows):
        first, count = kept.get(key, ([], 0))
        kept[key] = ([*first, *rows[: ROWS_SHOWN - len(first)].tolist()][:ROWS_SHOWN], count + len(rows))
