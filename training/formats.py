"""Recognises what a file really is by its first bytes, whatever its name says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

HEAD_BYTES: Final = 64 * 1024

PARQUET: Final = "Parquet"
XLSX: Final = "an Excel workbook (.xlsx)"
_MAGIC: Final = (
    (b"PAR1", PARQUET),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)"),
    (b"ARROW1", "Arrow (Feather)"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
    (b"SQLite format 3\x00", "SQLite"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"%PDF-", "PDF"),
    (b"\xff\xfe\x00\x00", "UTF-32 text"),
    (b"\x00\x00\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_COMPRESSED: Final = frozenset({"gzip", "zstd", "bzip2", "xz", "lz4", "7-Zip", "a zip archive"})
_EXCEL: Final = frozenset({XLSX, "an old Excel workbook (.xls)", "a spreadsheet (.ods)"})
READABLE: Final = frozenset({PARQUET, XLSX, "gzip", "zstd", "UTF-16 text"})
"""Formats of tables that are read as they are."""
_TEXT_SUFFIXES: Final = frozenset({".csv", ".tsv", ".txt", ".gz", ".zst", ".xlsx"})
_BINARY_SUFFIXES: Final = frozenset({".parquet", ".xlsx", ".xls"})
_UTF16_CHARACTERS: Final = 8
"""Latin characters that must alternate with zero bytes before a text counts as UTF-16."""
_MARKUP: Final = re.compile(rb"\s*<(!doctype\s+html|html|table|head|body|\?xml)", re.IGNORECASE)
_JSON: Final = re.compile(rb'\s*(\{\s*("|\})|\[\s*[\[{])')


def real_format(path: Path) -> str | None:
    """The format of a file by its content, if another program wrote it; ``None`` if it may be CSV."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if head.startswith(b"PK\x03\x04"):
            # An archive's list of contents is at its end.
            file.seek(max(path.stat().st_size - HEAD_BYTES, 0))
            return _archive(head + file.read(HEAD_BYTES))
    return kind_of(head)


def kind_of(head: bytes) -> str | None:
    """The format that the first bytes show; ``None`` if they may be those of a CSV file."""
    kind = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if kind is not None:
        return kind
    text = head.removeprefix(b"\xef\xbb\xbf")
    if is_utf16(text):
        return "UTF-16 text"
    if markup := _MARKUP.match(text):
        return "XML" if markup[1] == b"?xml" else "HTML"
    return "JSON" if _JSON.match(text) else None


def misnamed(path: Path, *, text: bool) -> bool:
    """Whether the name of a table says another format: text, or a binary one."""
    suffix = path.suffix.lower()
    return suffix in _BINARY_SUFFIXES if text else suffix in _TEXT_SUFFIXES


def remedy(kind: str) -> str:
    """How to convert a file of this kind to a readable one."""
    if kind in _COMPRESSED:
        return "unpack the file first"
    if kind in _EXCEL:
        return "open it in the spreadsheet program and save it as 'CSV UTF-8 (comma delimited)'"
    if kind.startswith("UTF-"):
        return "save it as UTF-8, for example as 'CSV UTF-8' in Excel"
    return "export the table as CSV or Parquet"


def _archive(content: bytes) -> str:
    if b"xl/" in content:
        return XLSX
    return "a spreadsheet (.ods)" if b"opendocument.spreadsheet" in content else "a zip archive"


def is_utf16(text: bytes) -> bool:
    """Whether text without a byte order mark alternates with zero bytes, as Latin text does in UTF-16."""
    start = text[: 2 * _UTF16_CHARACTERS]
    even, odd = start[::2], start[1::2]
    return len(start) == 2 * _UTF16_CHARACTERS and ((not any(odd) and all(even)) or (not any(even) and all(odd)))
