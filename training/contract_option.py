"""The contract that an option of a command names; without one, nothing slow is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.contract import Contract


def chosen(path: Path | None) -> Contract | None:
    """Read the contract in a file; ``None`` without a file.

    Raises:
        ContractError: the file cannot be read, or does not fit.
    """
    if path is None:
        return None
    from training.contract_file import read  # noqa: PLC0415 - a command without a contract waits for no library

    return read(path)
