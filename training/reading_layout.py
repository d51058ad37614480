"""Finds the delimiter and the header of a table of text, from its first lines and the columns of the contract."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from training.names import Names
from training.violations import DataError, file_error, shown

SAMPLE_RECORDS: Final = 1000
TITLE_LINES: Final = 20
"""Lines at the beginning that may stand above the header."""
DELIMITERS: Final = ",;\t|"
_UNSUPPORTED: Final = ":^~"
_TELLS: Final = 3
"""Fewest columns of the contract that make a line a header whatever else the file has."""
_CONSISTENT: Final = 0.9
"""Smallest share of rows that have as many fields as the header."""
_SEP_LINE: Final = re.compile(r'^"?sep=(.?)"?$', re.IGNORECASE)
_NUMBER: Final = re.compile(r"^\s*[+-]?[\d.,]*\d[\d.,]*\s*$")
_WHOLE: Final = re.compile(r"^\s*-?\d+\s*$")
ROW_NAMES: Final = "(row names)"
"""Name of R's column of row names, for which the header has no name."""

Record = tuple[list[str], int]
"""The cells of a record, and the lines read up to its end."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the rows of a table of text are.

    Attributes:
        delimiter: between the columns.
        names: of the columns, in order.
        lines: of the file up to the end of the header.
        skipped: what stands above the header, blank lines apart.
        row_names: whether the first column is R's, with the names of the rows.
    """

    delimiter: str
    names: tuple[str, ...]
    lines: int
    skipped: tuple[str, ...] = ()
    row_names: bool = False


class Known:
    """The columns of a contract, to recognise a header by."""

    def __init__(self, names: Names) -> None:
        self._known: dict[str, str | None] = {}
        self._names = names
        contract = names.contract
        self.enough = min(_TELLS, len(contract.aliases))
        self.numbers = frozenset(feature.name for feature in contract.features if not feature.is_category)
        self.categories = names.telling

    def name(self, theirs: str) -> str | None:
        """The column of the contract that a name spells, ignoring case, spaces and punctuation."""
        # Each cell of the first lines is looked up once for each delimiter.
        if theirs not in self._known:
            self._known[theirs] = self._names.known(theirs)
        return self._known[theirs]

    def count(self, names: Collection[str]) -> int:
        """The columns of the contract among the names."""
        return len({self.name(name) for name in names} - {None})


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    delimiter: str
    records: list[Record]
    header: int
    known: int
    share: float
    row_names: bool

    @property
    def names(self) -> list[str]:
        return self.records[self.header][0]

    @property
    def several(self) -> bool:
        return len(self.names) > 1


def find_layout(source: str, text: str, known: Known, delimiter: str | None = None) -> Layout:
    """Find the header and the delimiter in the beginning of a file.

    Args:
        source: the file's name, for messages.
        text: the beginning, which ends with a whole line.
        known: the columns to recognise.
        delimiter: the option, which decides.

    Raises:
        DataError: no header, or it could be read in two ways.
    """
    lines = list(_some_lines(text))
    # A spreadsheet may have saved this line with delimiters for its empty columns.
    matched = _SEP_LINE.match(lines[0].strip().rstrip(",;\t") or lines[0].strip()) if lines else None
    sep = matched[1] if matched else None
    above = 0 if sep is None else 1
    lines = lines[above:]
    candidates = [_candidate(lines, d, known) for d in delimiter or DELIMITERS]
    if not delimiter and max(c.known for c in candidates) < known.enough:
        candidates += [_candidate(lines, d, known) for d in _UNSUPPORTED]
    if not any(line.strip() for line in lines):
        raise file_error(source, "there is no line with text", "a header with the column names", cause="blank-header")
    chosen = _chosen(source, candidates, known, sep or "")
    _refuse_no_header(source, chosen, known)
    if chosen.delimiter in _UNSUPPORTED and chosen.several:
        raise file_error(
            source, f"the columns are separated by {chosen.delimiter!r}", "commas, semicolons, tabs or pipes",
            cause="delimiter", hint="save it with commas between the columns",
        )  # fmt: skip
    names = [name.strip().removeprefix("\ufeff") for name in chosen.names]
    if chosen.row_names:
        names.insert(0, ROW_NAMES)
    titles = [] if sep is None else [text.split("\n", 1)[0].strip()]
    titles += [",".join(filter(None, cells)) for cells, _ in chosen.records[: chosen.header]]
    return Layout(
        delimiter=chosen.delimiter,
        names=tuple(names),
        lines=above + chosen.records[chosen.header][1],
        skipped=tuple(title for title in titles if title.strip()),
        row_names=chosen.row_names,
    )


def _some_lines(text: str) -> Iterator[str]:
    # Not str.splitlines, which also splits at characters that may stand in a value.
    for number, line in enumerate(io.StringIO(text, newline="")):
        if number > SAMPLE_RECORDS:
            return
        yield line


def _records(lines: Sequence[str], delimiter: str) -> list[Record]:
    reader = csv.reader(lines, delimiter=delimiter)
    records: list[Record] = []
    # A field longer than 131,072 characters ends the sample: what came before it is enough to judge by.
    with suppress(csv.Error):
        records.extend((cells, reader.line_num) for cells in reader)
    return records


def _candidate(lines: Sequence[str], delimiter: str, known: Known) -> _Candidate:
    records = _records(lines, delimiter) or [([""], 1)]
    header = find_header([cells for cells, _ in records], known)
    names, rows = records[header][0], [cells for cells, _ in records[header + 1 :] if any(map(str.strip, cells))]
    same = sum(len(cells) == len(names) for cells in rows)
    row_names = not same and _has_row_names(names, rows, lines[records[header][1] :], known)
    return _Candidate(
        delimiter=delimiter,
        records=records,
        header=header,
        known=known.count(names),
        share=1.0 if row_names or not rows else same / len(rows),
        row_names=row_names,
    )


def find_header(records: Sequence[Sequence[str]], known: Known) -> int:
    """The index of the header among the first records: the one with most known columns, else the first wide one."""
    first = records[: TITLE_LINES + 1]
    counts = [known.count(cells) for cells in first]
    if max(counts) >= known.enough:
        # The first line that is a header; a customer below it may have values that are names.
        return next(i for i, count in enumerate(counts) if count >= known.enough)
    widths = Counter(len(cells) for cells in records if any(map(str.strip, cells)))
    if not widths:
        return 0
    width = max(widths, key=lambda w: (widths[w], w))
    for index, cells in enumerate(first):
        if len(cells) in {width, width - 1} and sum(bool(cell.strip()) for cell in cells) >= len(cells) - 1:
            return index
    return next((i for i, cells in enumerate(first) if any(map(str.strip, cells))), 0)


def _has_row_names(names: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[str], known: Known) -> bool:
    """Whether the rows are one wider than the header because R wrote their names, and for no other reason."""
    if any(len(cells) != len(names) + 1 for cells in rows):
        return False
    counted = all(cells[0].strip() == str(number) for number, cells in enumerate(rows, start=1))
    quoted = all(line.startswith('"') for line in lines if line.strip())
    if not (counted or (quoted and len({cells[0] for cells in rows}) == len(rows))):
        return False
    # A number that its decimal comma split makes rows one field wider too.
    numbers = [i for i, name in enumerate(names) if known.name(name) in known.numbers or known.name(name) is None]
    return not any(all(_WHOLE.match(cells[i]) and cells[i + 1].isdigit() for cells in rows) for i in numbers)


def _chosen(source: str, candidates: Sequence[_Candidate], known: Known, sep: str) -> _Candidate:
    most = max(candidate.known for candidate in candidates)
    clear = [c for c in candidates if c.known == most and most >= known.enough]
    if len(clear) == 1:
        return clear[0]
    several = [c for c in candidates if c.several and c.share >= _CONSISTENT]
    several = [c for c in several if c.delimiter == sep] or several
    exact = [c for c in several if not c.row_names] or several
    best = [c for c in exact if c.known == max(e.known for e in exact)]
    # Decimal commas make the rows alike by commas too, below a header that has none and would then be a title.
    best = [c for c in best if c.header == min(b.header for b in best)]
    if len(best) > 1:
        raise _two_delimiters(source, best)
    if best:
        return best[0]
    if len(candidates) == 1 or not any(c.several for c in candidates):
        return _one_column(source, candidates)
    raise file_error(
        source, "no delimiter gives each row as many fields as the header", "the same number of fields in each row",
        cause="delimiter", hint="say which with --delimiter, or with reading.delimiter in the contract",
    )  # fmt: skip


def _one_column(source: str, candidates: Sequence[_Candidate]) -> _Candidate:
    """The reading as a single column, if its name is not a whole line in quotes."""
    only = candidates[0]
    inner = next(csv.reader([only.names[0]])) if only.names and len(only.names) == 1 else []
    if len(inner) > 1:
        raise file_error(
            source, "each line is one value in quotes", "a CSV file separated by commas", cause="quoted-lines",
            hint="remove the quotes around the lines",
        )  # fmt: skip
    return only


def _two_delimiters(source: str, candidates: Sequence[_Candidate]) -> DataError:
    both = " or ".join(f"{c.delimiter!r} ({len(c.names)} columns: {shown(', '.join(c.names))})" for c in candidates)
    return file_error(
        source, f"the columns may be separated by {both}", "one way to read it", cause="two-delimiters",
        hint="say which with --delimiter, or with reading.delimiter in the contract",
    )  # fmt: skip


def _refuse_no_header(source: str, chosen: _Candidate, known: Known) -> None:
    names = [name for name in chosen.names if name.strip()]
    if chosen.known or not names:
        return
    values = [name for name in names if name.strip() in known.categories]
    values = values or [name for name in names if _NUMBER.match(name)]
    if values:
        raise file_error(
            source, f"the first line has values ({shown(values[0])}), not column names",
            "a header with the column names", cause="no-header", hint="add a first line with the column names",
        )  # fmt: skip
