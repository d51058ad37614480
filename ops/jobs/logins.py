"""Reads logins as pods have them: a folder with a file for each part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ops.errors import OpsError


def read_secret(folder: Path, name: str) -> str:
    """Read one file of a secret, without the line end that editors add.

    Raises:
        OpsError: the file is missing or empty.
    """
    path = folder / name
    try:
        content = path.read_text("utf-8").strip("\r\n")
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}: mount the secret {folder.name!r} there") from None
    if not content:
        raise OpsError(f"{path} is empty: put the {name} of the secret {folder.name!r} into it")
    return content


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user's name and password; the password is not shown when the object is printed."""

    username: str
    password: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a login from its folder.

        Raises:
            OpsError: a file is missing or empty.
        """
        return cls(username=read_secret(folder, "username"), password=read_secret(folder, "password"))

    def __repr__(self) -> str:
        return f"Login({self.username!r})"
