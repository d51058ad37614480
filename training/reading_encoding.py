"""Decides the encoding of a text file: UTF-8 if the whole file is, else what its bytes leave no doubt about."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from app.contract import Reading
from training import formats
from training.reading_bytes import ByteError, Compression, Survey, TextFile, byte_order, check_text, has_multibyte
from training.violations import DataError, file_error, first_line, shown

_WORDS: Final = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp1252": "Windows-1252 (cp1252)",
    "latin-1": "Latin-1",
}
_OTHERS: Final = ("cp1250", "latin-1")
"""Encodings that are taken for cp1252, in which some of its bytes are other characters."""
_DECIDE: Final = "say which with --encoding, or with reading.encoding in the contract"


def words(encoding: str) -> str:
    """The name of an encoding in a message."""
    return _WORDS[encoding]


def detect(path: Path, compression: Compression | None, chosen: Reading) -> tuple[TextFile, str]:
    """Open a text file with its encoding; also a sentence about it for the notes, or an empty text.

    Args:
        path: the file.
        compression: how it is packed.
        chosen: options; an ``encoding`` in them is taken without looking further.

    Raises:
        DataError: the content is no text.
        ByteError: the bytes do not fit the encoding, or leave open what they mean.
    """
    file = TextFile(path=path, compression=compression)
    head = _head(file)
    order = byte_order(head)
    if (order is None or order[0] == "utf-8") and (kind := formats.kind_of(head)):
        raise other_format(path, f"{compression}-compressed {kind}" if compression else kind, kind)
    if chosen.encoding is not None:
        return _chosen(file, chosen.encoding, order)
    if order is not None:
        file = replace(file, encoding=order[0], bom=order[1])
        return _surveyed(file, check_text(file)), ""
    try:
        return _surveyed(file, check_text(file)), ""
    except ByteError as error:
        return _cp1252(file, error), ""


def _surveyed(file: TextFile, survey: Survey) -> TextFile:
    return replace(file, quotes=survey.quotes, size=survey.size)


def other_format(path: Path, content: str, kind: str = "") -> DataError:
    """The error for a file that is no table; ``kind`` is what it is after unpacking."""
    value = f"the content is {content}, not CSV"
    hint = formats.remedy(kind or content)
    return file_error(str(path), value, "CSV, Excel or Parquet", cause="other-format", hint=hint)


def _head(file: TextFile) -> bytes:
    try:
        return file.head()
    except (pa.ArrowException, OSError) as error:
        raise unpacking_error(file, error) from error


def unpacking_error(file: TextFile, error: Exception) -> DataError:
    """The error for a packed file that cannot be unpacked."""
    problem = shown(first_line(error))
    expected = f"a complete {file.compression} file" if file.compression else "a readable file"
    return file_error(str(file.path), f"unreadable ({problem})", expected, cause="damaged")


def _chosen(file: TextFile, encoding: str, order: tuple[str, int] | None) -> tuple[TextFile, str]:
    codec, bom = order or ("", 0)
    if encoding == "utf-16":
        file = replace(file, encoding=codec if codec.startswith("utf-16") else "utf-16-le", bom=bom)
    elif codec == encoding:
        file = replace(file, encoding=codec, bom=bom)
    elif codec:
        raise file_error(
            str(file.path), f"the bytes show {words(codec)}", f"{words(encoding)}, as the option says",
            cause="encoding", hint=f"leave out --encoding, or write the file as {words(encoding)}",
        )  # fmt: skip
    else:
        file = replace(file, encoding=encoding)
    survey = check_text(file)
    file = _surveyed(file, survey)
    if survey.foreign and encoding in {"cp1252", "latin-1"}:
        try:
            check_text(replace(file, encoding="utf-8"))
        except ByteError:
            return file, ""
        return file, f"The file is valid UTF-8, and was read as {words(encoding)} because an option says so."
    return file, ""


def _cp1252(file: TextFile, error: ByteError) -> TextFile:
    """The file as cp1252, if it cannot be UTF-8 with a damaged byte; otherwise the error is raised again."""
    if error.byte == 0:
        raise error
    if has_multibyte(file):
        raise ByteError(error.file, error.offset, error.byte, "other characters of the file are UTF-8")
    as_cp1252 = replace(file, encoding="cp1252")
    try:
        return _surveyed(as_cp1252, check_text(as_cp1252))
    except ByteError as undefined:
        reason = "neither UTF-8 nor Windows-1252"
        raise ByteError(error.file, undefined.offset, undefined.byte, reason) from error


def byte_refusal(error: ByteError, delimiter: str, names: tuple[str, ...], start: int) -> DataError:
    """The refusal of a byte, which names its row, line and column.

    Args:
        error: the byte.
        delimiter: between the columns, as far as known.
        names: of the columns.
        start: offset of the first data row, and 0 if there is none.
    """
    file, nul = error.file, error.reason.startswith("a NUL")
    where = _place(file, error.offset, delimiter, names, start)
    what = "a NUL byte" if nul else f"a byte that is not {words(file.encoding)}"
    reason = "" if nul else f"; {error.reason}"
    hint = "remove it" if nul else f"repair this character; if the file has another encoding, {_DECIDE}"
    return file_error(
        str(file.path), f"{where}: {what} (0x{error.byte:02x}{reason})", "text in one encoding",
        cause="not-utf8", hint=hint,
    )  # fmt: skip


def _place(file: TextFile, offset: int, delimiter: str, names: tuple[str, ...], start: int) -> str:
    """Row, line and column of a byte, in words; the text is read as Latin-1, in which every byte is a character."""
    if file.encoding.startswith("utf-16"):
        return f"byte {offset + 1:,}"
    before = offset - start if offset >= start > 0 else offset
    line, row, current = 1, 0, b""
    if before < offset:
        line += sum(ended for _, ended in _pieces(file, 0, start))
    for text, ended in _pieces(file, offset - before, before):
        if ended:
            row += bool(text.strip(b"\r\n"))
            line += 1
        else:
            current = text
    if before == offset:
        return f"line {line:,}"
    cells = next(csv.reader([current.decode("latin-1") + "x"], delimiter=delimiter, strict=False), [""])
    name = names[len(cells) - 1] if len(cells) <= len(names) else f"field {len(cells)}"
    return f"row {row + 1:,} (line {line:,}), column {name}"


def _pieces(file: TextFile, skip: int, size: int) -> Iterator[tuple[bytes, bool]]:
    """The lines in the next ``size`` bytes, and whether each is complete."""
    rest = b""
    for block in file.blocks(skip):
        data = (rest + block[:size]).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        size -= len(block[:size])
        *complete, rest = data.split(b"\n")
        yield from ((line, True) for line in complete)
        if size <= 0:
            break
    yield rest, False


def other_readings(text: str) -> list[str]:
    """What a text that was read as cp1252 is in its sister encodings, where that is another text."""
    data = text.encode("cp1252")
    others = (data.decode(other, errors="replace") for other in _OTHERS)
    return [other for other in dict.fromkeys(others) if other != text]
