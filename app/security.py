"""API keys: only hashes are on disk; the file is read again when it changes, and a client may have two keys.

A key is ``<id>.<secret>``; the secret has 256 random bits, so a plain sha256 of the key can be stored: there is nothing
to guess. The public id selects the entry; the hash is then compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.settings import Rate

_SCOPE: Final = re.compile(r"admin|predict(:[A-Za-z0-9][A-Za-z0-9._-]{0,62})?")


def _scope(text: str) -> str:
    if not _SCOPE.fullmatch(text):
        raise ValueError("Input should be admin, predict, or predict:NAME for one model")
    return text


Scope = Annotated[str, AfterValidator(_scope)]
"""'admin'; 'predict', for every model; or 'predict:NAME', for that one alone."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
KeyId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
MAX_KEY_BYTES: Final = 256
_NO_HASH: Final = "0" * 64


class KeyFileError(Exception):
    """The key file cannot be used; the message says why."""


class KeyEntry(BaseModel):
    """One client: its scopes, its rate if it has its own, and the hashes of one or, while it rotates, two keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: KeyId
    sha256: Annotated[list[Sha256], Field(min_length=1, max_length=2)]
    scopes: Annotated[list[Scope], Field(min_length=1)]
    rate_limit: Rate | None = None


class KeyFile(BaseModel):
    """The mounted file: ``{"keys": [...]}``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: Annotated[list[KeyEntry], Field(max_length=10_000)]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request."""

    id: str
    scopes: frozenset[str]
    rate_limit: str | None


ANYBODY: Final = Principal("anybody", frozenset({"predict", "admin"}), None)
"""The sender of every request with AUTH=off."""


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def new_key(key_id: str) -> tuple[str, str]:
    """Create a key for a client.

    Returns:
        The key, shown once and never stored by us, and its sha256 for the key file.
    """
    key = f"{key_id}.{secrets.token_urlsafe(32)}"
    return key, hash_key(key)


def parse_key_file(data: bytes) -> dict[str, tuple[Principal, list[str]]]:
    """Entries by key id.

    Raises:
        KeyFileError: the file does not fit; no hash is repeated in the message.
    """
    try:
        entries = KeyFile.model_validate_json(data).keys
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise KeyFileError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None
    by_id = {e.id: (Principal(e.id, frozenset(e.scopes), e.rate_limit), e.sha256) for e in entries}
    if len(by_id) != len(entries):
        raise KeyFileError("a key id occurs twice: put both hashes into one entry's sha256 list")
    return by_id


class KeyStore:
    """The keys that are valid now; ``refresh`` is called regularly, outside of requests."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            KeyFileError: it is missing or does not fit.
        """
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._by_id: dict[str, tuple[Principal, list[str]]] = {}
        self.refresh()

    def refresh(self) -> bool:
        """Read the file again if it changed; the old keys stay valid if the new file is invalid.

        Returns:
            Whether new keys are in force.

        Raises:
            KeyFileError: the changed file is missing or does not fit.
        """
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            self._by_id = parse_key_file(self._path.read_bytes())
        except OSError as error:
            self._stamp = None  # the file may return, or become readable, with the same stamp
            raise KeyFileError(f"{self._path}: {error.strerror}") from error
        except KeyFileError as error:
            raise KeyFileError(f"{self._path}: {error}") from None
        return True

    def find(self, key: bytes) -> Principal | None:
        """Who holds this key; None if nobody does. Takes the same time for a wrong secret as for a right one."""
        if len(key) > MAX_KEY_BYTES:
            return None
        digest = hashlib.sha256(key).hexdigest()
        entry = self._by_id.get(key.partition(b".")[0].decode("latin-1"))
        hashes = entry[1] if entry else [_NO_HASH]
        valid = False
        for expected in hashes:
            valid |= hmac.compare_digest(digest, expected)
        return entry[0] if entry and valid else None
