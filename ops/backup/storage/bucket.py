"""A bucket in S3, or a prefix of one, as a storage."""

from __future__ import annotations

import base64
import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ops.backup.manifest import Digest
from ops.backup.storage.base import Hashing, Item, MissingError, Writer
from ops.backup.storage.s3_client import (
    PART_BYTES,
    TRANSFER,
    WORKERS,
    Location,
    download,
    list_objects,
    list_versions,
    new_client,
    s3_errors,
)
from ops.errors import OpsError

KMS: Final = "aws:kms"
COMPLIANCE: Final = "COMPLIANCE"


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a file, or the mark of its deletion."""

    key: str
    id: str
    bytes: int
    modified: datetime
    is_current: bool
    is_deletion: bool = False


@dataclass(frozen=True, kw_only=True)
class Held:
    """What S3 says of a file that a bucket holds."""

    bytes: int
    checksum: str
    """What S3 computed when the file was uploaded; empty if it was uploaded without one."""
    locked_until: datetime | None

    def is_content(self, sha256: str, local: Path) -> bool:
        """Whether it has this sha256; ``local`` is the same content, and is read only if it was uploaded in parts.

        S3's checksum of an upload in parts is the sha256 of the parts' sha256, with the count of the parts after a dash
        (Amazon S3 User Guide, "Checking object integrity").
        """
        value = self.checksum.partition("-")[0]
        if value == base64.b64encode(bytes.fromhex(sha256)).decode():
            return True
        return bool(value) and self.bytes > PART_BYTES and local.exists() and value == _checksum_of_parts(local)


def _checksum_of_parts(path: Path) -> str:
    parts = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            parts.update(hashlib.sha256(part).digest())
    return base64.b64encode(parts.digest()).decode()


class BucketStorage:
    """A bucket or a prefix; with ``require_encryption``, what is copied must be encrypted with the bucket's own key."""

    def __init__(self, name: str, *, require_encryption: bool) -> None:
        self.location = Location.parse(name)
        self.name = str(self.location)
        self.workers = WORKERS
        self.client: Any = new_client()
        self._require_encryption = require_encryption
        self._key: str | None = None

    def items(self, prefix: str = "") -> Iterator[Item]:
        for entry in list_objects(self.client, self.location, f"{prefix}/" if prefix else ""):
            key = entry["Key"].removeprefix(self.location.prefix)
            if key and not key.endswith("/"):
                size, modified = entry["Size"], entry["LastModified"]
                yield Item(key=key, bytes=size, modified=modified, state=_state(entry, size))

    def state(self, key: str) -> str:
        with s3_errors(self.path(key)):
            head = self.client.head_object(**self.address(key))
        return _state(head, head["ContentLength"])

    def read(self, key: str, limit: int) -> bytes:
        with s3_errors(self.path(key)):
            if self.client.head_object(**self.address(key))["ContentLength"] > limit:
                raise OpsError(f"{self.path(key)} is larger than the {limit} bytes it may have")
            data = io.BytesIO()
            download(self.client, self.address(key), data)
        return data.getvalue()

    def copy(self, key: str, target: Writer | None = None) -> Digest:
        hashing = Hashing(target)
        with s3_errors(self.path(key)):
            if self._require_encryption:
                self._check_encryption(key, self.client.head_object(**self.address(key)))
            download(self.client, self.address(key), hashing)
        return hashing.digest

    @contextmanager
    def local(self, key: str, scratch: Path) -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(dir=scratch) as file:
            self.copy(key, file)
            file.flush()
            yield Path(file.name)

    def put(self, key: str, path: Path) -> int:
        """Upload a file, encrypted with the bucket's default key; returns its size.

        S3 compares checksums of what arrives.

        Raises:
            OpsError: the object is not as long as the file, or is not encrypted as it should be.
        """
        size = path.stat().st_size
        with s3_errors(self.path(key)):
            bucket, name = self.address(key).values()
            checksum = {"ChecksumAlgorithm": "SHA256"}
            self.client.upload_file(str(path), bucket, name, ExtraArgs=checksum, Config=TRANSFER)
            head = self.client.head_object(**self.address(key))
        if head["ContentLength"] != size:
            raise OpsError(f"{self.path(key)} has {head['ContentLength']} bytes after the upload of {size}")
        if self._require_encryption:
            self._check_encryption(key, head)
        return size

    def versions(self) -> Iterator[Version]:
        """Every version of every file, in no order."""
        for entry in list_versions(self.client, self.location):
            yield Version(
                key=entry["Key"].removeprefix(self.location.prefix),
                id=entry["VersionId"],
                bytes=entry.get("Size", 0),
                modified=entry["LastModified"],
                is_current=entry["IsLatest"] and "Size" in entry,
                is_deletion="Size" not in entry,
            )

    def held(self, key: str) -> Held | None:
        """Say what the bucket holds under a key; None if there is no such file."""
        try:
            with s3_errors(self.path(key)):
                head = self.client.head_object(**self.address(key), ChecksumMode="ENABLED")
        except MissingError:
            return None
        return Held(
            bytes=head["ContentLength"],
            checksum=head.get("ChecksumSHA256", ""),
            locked_until=head.get("ObjectLockRetainUntilDate"),
        )

    def lock_days(self) -> int | None:
        """How many days the bucket protects each new version from deletion by anybody; None if it does not."""
        with s3_errors(self.name):
            try:
                answer = self.client.get_object_lock_configuration(Bucket=self.location.bucket)
            except self.client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "ObjectLockConfigurationNotFoundError":
                    raise
                return None
        rule: dict[str, Any] = answer["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention", {})
        return rule.get("Days") if rule.get("Mode") == COMPLIANCE else None

    def lock(self, key: str, until: datetime) -> None:
        """Let nobody delete this version of a file before a time; in this mode a lock can only become longer."""
        with s3_errors(self.path(key)):
            retention = {"Mode": COMPLIANCE, "RetainUntilDate": until}
            self.client.put_object_retention(**self.address(key), Retention=retention)

    def path(self, key: str) -> str:
        """The name of a file, for people."""
        return f"{self.name}/{key}"

    def address(self, key: str) -> dict[str, str]:
        """The arguments that name a file to S3's client."""
        return {"Bucket": self.location.bucket, "Key": self.location.prefix + key}

    @property
    def key(self) -> str | None:
        """The key that the bucket encrypts with by default; "" for the account's own, None without KMS."""
        if self._key is None:
            with s3_errors(self.name):
                try:
                    answer = self.client.get_bucket_encryption(Bucket=self.location.bucket)
                except self.client.exceptions.ClientError as error:
                    if error.response["Error"]["Code"] != "ServerSideEncryptionConfigurationNotFoundError":
                        raise
                    return None
            rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
            default: dict[str, str] = next((r["ApplyServerSideEncryptionByDefault"] for r in rules), {})
            self._key = default.get("KMSMasterKeyID", "") if default.get("SSEAlgorithm") == KMS else None
        return self._key

    def _check_encryption(self, key: str, head: dict[str, Any]) -> None:
        if self.key is None:
            raise OpsError(f"{self.name} is not encrypted with KMS by default: set that for the bucket first")
        used = head.get("SSEKMSKeyId", "")
        if head.get("ServerSideEncryption") != KMS or (self.key and _key_id(used) != _key_id(self.key)):
            raise OpsError(
                f"{self.path(key)} is not encrypted with the bucket's key {self.key}: {used or 'no KMS key'}"
            )


def _key_id(arn: str) -> str:
    """The id of a key, whether it is given alone or at the end of an ARN."""
    return arn.rpartition("/")[2]


def _state(description: dict[str, Any], size: int) -> str:
    return f"{size}-{description['ETag']}-{description['LastModified'].timestamp():.0f}"
