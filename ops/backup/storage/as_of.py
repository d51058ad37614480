"""A bucket as it was at some time: for a restore after somebody has overwritten or hidden backups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ops.backup.storage.base import Item, MissingError
from ops.backup.storage.bucket import BucketStorage, Version


class BucketAsOf(BucketStorage):
    """Reads of each file the version that was current at a time; it needs the rights to list and read versions."""

    def __init__(self, name: str, as_of: datetime, *, require_encryption: bool) -> None:
        super().__init__(name, require_encryption=require_encryption)
        self.name = f"{self.name} as of {as_of:%Y-%m-%dT%H:%M:%SZ}"
        latest: dict[str, Version] = {}
        for version in self.versions():
            before = latest.get(version.key)
            if version.modified <= as_of and (before is None or version.modified > before.modified):
                latest[version.key] = version
        self._versions = {key: version for key, version in latest.items() if not version.is_deletion}

    def items(self, prefix: str = "") -> Iterator[Item]:
        for key, version in self._versions.items():
            if key.startswith(f"{prefix}/" if prefix else "") and not key.endswith("/"):
                yield Item(key=key, bytes=version.bytes, modified=version.modified, state=version.id)

    def address(self, key: str) -> dict[str, str]:
        version = self._versions.get(key)
        if version is None:
            raise MissingError(f"{self.path(key)} is missing")
        return {**super().address(key), "VersionId": version.id}
