"""Files written for people: complete or not at all, CSV or Parquet by extension."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from training.readers import EXTENSIONS
from training.violations import file_error


def is_csv(out: Path) -> bool:
    """Whether ``out`` asks for CSV rather than Parquet.

    Raises:
        DataError: its extension is neither.
    """
    suffix = out.suffix.lower()
    if suffix not in EXTENSIONS:
        raise file_error(str(out), f"the extension is {suffix or 'missing'}", " or ".join(EXTENSIONS))
    return suffix == ".csv"


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its place when the context ends well, and is removed otherwise.

    The target's folder is made when it is missing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
