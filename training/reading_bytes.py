"""Text files as streams of bytes, whatever they are compressed with and encoded in; memory does not depend on size."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from training import formats

BLOCK_BYTES: Final = 1024 * 1024
Compression = Literal["gzip", "zstd"]
COMPRESSIONS: Final[tuple[Compression, ...]] = ("gzip", "zstd")
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MULTIBYTE: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
"""A character of several bytes in UTF-8."""


class ByteError(Exception):
    """A byte that cannot stand in the text: the file in the encoding that failed, where after unpacking, and why."""

    def __init__(self, file: TextFile, offset: int, byte: int, reason: str) -> None:
        super().__init__(file, offset, byte, reason)
        self.file = file
        self.offset = offset
        self.byte = byte
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """A text file.

    Attributes:
        path: of the file.
        compression: how it is packed.
        encoding: the Python codec of its text.
        bom: the bytes of its byte order mark.
        quotes: whether there may be any.
        size: in bytes after unpacking; 0 if it is not known.
    """

    path: Path
    compression: Compression | None = None
    encoding: str = "utf-8"
    bom: int = 0
    quotes: bool = True
    size: int = 0

    def unpacked(self, skip: int = 0) -> pa.NativeFile:
        """The bytes of the text, packed or not, without the first ``skip``."""
        file = pa.OSFile(str(self.path), "rb")
        if self.compression is None:
            file.seek(skip)
            return file
        stream = pa.CompressedInputStream(file, self.compression)
        while skip > 0 and (data := stream.read(min(skip, BLOCK_BYTES))):
            skip -= len(data)
        return stream

    def as_utf8(self, skip: int) -> pa.NativeFile:
        """The text in UTF-8 without its first ``skip`` unpacked bytes."""
        stream = self.unpacked(skip)
        return stream if self.encoding == "utf-8" else pa.transcoding_input_stream(stream, self.encoding, "utf-8")

    def blocks(self, skip: int = 0) -> Iterator[bytes]:
        with self.unpacked(skip) as stream:
            while data := stream.read(BLOCK_BYTES):
                yield data

    def head(self, size: int = formats.HEAD_BYTES) -> bytes:
        with self.unpacked() as stream:
            return bytes(stream.read(size))


def byte_order(head: bytes) -> tuple[str, int] | None:
    """The codec that a byte order mark or the pattern of NUL bytes shows, and the length of the mark."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding, len(mark)
    if formats.is_utf16(head):
        return ("utf-16-le" if head[1] == 0 else "utf-16-be"), 0
    return None


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Whether a text has characters that are not ASCII, and quotes; its size in bytes."""

    foreign: bool
    quotes: bool
    size: int


def check_text(file: TextFile) -> Survey:
    """Decode the whole file strictly.

    Raises:
        ByteError: the first byte that cannot be decoded, or a NUL.
    """
    decoder = codecs.getincrementaldecoder(file.encoding)(errors="strict")
    offset, pending, foreign, quotes = file.bom, 0, False, False
    single = not file.encoding.startswith("utf-16")
    for data in file.blocks(file.bom):
        quotes = quotes or b'"' in data
        if single and (at := data.find(b"\0")) >= 0:
            raise ByteError(file, offset + at, 0, "a NUL byte")
        if not (single and not pending and data.isascii()):
            foreign = _decode(file, decoder, data, offset - pending) or foreign
            pending = len(decoder.getstate()[0])
        offset += len(data)
    if pending:
        _decode(file, decoder, b"", offset - pending, final=True)
    return Survey(foreign=foreign, quotes=quotes, size=offset)


def _decode(
    file: TextFile, decoder: codecs.IncrementalDecoder, data: bytes, offset: int, *, final: bool = False
) -> bool:
    """Decode a block whose first pending byte is at ``offset``; returns whether it has more than ASCII."""
    try:
        text = decoder.decode(data, final=final)
    except UnicodeDecodeError as error:
        raise ByteError(file, offset + error.start, error.object[error.start], error.reason) from error
    if "\0" in text:
        before = len(text[: text.index("\0")].encode("utf-16-le"))
        raise ByteError(file, offset + before, 0, "a NUL character")
    return not text.isascii()


def has_multibyte(file: TextFile) -> bool:
    """Whether a text that is not UTF-8 as a whole has characters of several bytes in UTF-8 all the same."""
    rest = b""
    for data in file.blocks():
        if _MULTIBYTE.search(rest + data):
            return True
        rest = data[-3:]
    return False


def rows_in(file: TextFile, skip: int) -> int:
    """The lines after the first ``skip`` unpacked bytes that are not blank."""
    rows, open_ = 0, False
    with file.as_utf8(skip) as stream:
        while data := stream.read(BLOCK_BYTES):
            lines = data.replace(b"\r", b"\n").split(b"\n")
            rows += sum(map(bool, lines)) - (open_ and bool(lines[0]))
            open_ = bool(lines[-1])
    return rows
