"""Backups in a bucket, and an artifact store in one."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ops.backup.artifact_source import Found, GoneError
from ops.backup.manifest import Digest
from ops.backup.s3_client import WORKERS, Place, download, new_client, pages, told
from ops.backup.store import Hashing, Item, MissingError, Writer
from ops.errors import OpsError

KMS: Final = "aws:kms"


class BucketStore:
    """A bucket, or a prefix of one. Its backups must be encrypted with the bucket's own key of KMS."""

    def __init__(self, name: str) -> None:
        self.place = Place.parse(name)
        self.name = str(self.place)
        self.client: Any = new_client()
        self._key: str | None = None

    def items(self, prefix: str) -> Iterator[Item]:
        for found in pages(self.client, self.place, f"{prefix}/"):
            key = found["Key"].removeprefix(self.place.prefix)
            yield Item(key=key, bytes=found["Size"], modified=found["LastModified"])

    def read(self, key: str, limit: int) -> bytes:
        with told(f"{self.name}/{key}"):
            name = self.place.prefix + key
            if self.client.head_object(Bucket=self.place.bucket, Key=name)["ContentLength"] > limit:
                raise OpsError(f"{self.name}/{key} is larger than the {limit} bytes it may have")
            data = io.BytesIO()
            download(self.client, self.place.bucket, name, data)
        return data.getvalue()

    def copy(self, key: str, target: Writer) -> Digest:
        into = Hashing(target)
        with told(f"{self.name}/{key}"):
            head = self.client.head_object(Bucket=self.place.bucket, Key=self.place.prefix + key)
            self.check_encryption(key, head)
            download(self.client, self.place.bucket, self.place.prefix + key, into)
        return into.digest

    @contextmanager
    def local(self, key: str, scratch: Path) -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(dir=scratch) as file:
            self.copy(key, file)
            file.flush()
            yield Path(file.name)

    @property
    def key(self) -> str | None:
        """The key that the bucket encrypts with by default; "" for the account's own, None without KMS."""
        if self._key is None:
            with told(self.name):
                try:
                    answer = self.client.get_bucket_encryption(Bucket=self.place.bucket)
                except self.client.exceptions.ClientError as error:
                    if error.response["Error"]["Code"] != "ServerSideEncryptionConfigurationNotFoundError":
                        raise
                    return None
            rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
            default: dict[str, str] = next((r["ApplyServerSideEncryptionByDefault"] for r in rules), {})
            self._key = default.get("KMSMasterKeyID", "") if default.get("SSEAlgorithm") == KMS else None
        return self._key

    def check_encryption(self, key: str, head: dict[str, Any]) -> None:
        if self.key is None:
            raise OpsError(f"{self.name} is not encrypted with KMS by default: set that for the bucket first")
        used = head.get("SSEKMSKeyId", "")
        if head.get("ServerSideEncryption") != KMS or (self.key and _key_id(used) != _key_id(self.key)):
            raise OpsError(
                f"{self.name}/{key} is not encrypted with the bucket's key {self.key}: {used or 'no KMS key'}"
            )


def _key_id(arn: str) -> str:
    """A key's own name, of its address or by itself."""
    return arn.rpartition("/")[2]


class BucketSource:
    """MLflow's artifacts in a bucket."""

    def __init__(self, name: str) -> None:
        self._place = Place.parse(name)
        self._client: Any = new_client()
        self.name = str(self._place)
        self.workers = WORKERS

    def files(self) -> Iterator[Found]:
        for found in pages(self._client, self._place):
            path = found["Key"].removeprefix(self._place.prefix)
            if path and not path.endswith("/"):
                yield Found(path=path, bytes=found["Size"], seen=_state(found, found["Size"]))

    def seen(self, path: str) -> str:
        head = self._head(path)
        return _state(head, head["ContentLength"])

    def copy(self, path: str, target: Writer) -> Digest:
        into = Hashing(target)
        try:
            with told(f"{self.name}/{path}"):
                download(self._client, self._place.bucket, self._place.prefix + path, into)
        except MissingError:
            raise GoneError(path) from None
        return into.digest

    def _head(self, path: str) -> dict[str, Any]:
        try:
            with told(f"{self.name}/{path}"):
                head: dict[str, Any] = self._client.head_object(
                    Bucket=self._place.bucket, Key=self._place.prefix + path
                )
        except MissingError:
            raise GoneError(path) from None
        return head


def _state(facts: dict[str, Any], size: int) -> str:
    return f"{size}-{facts['ETag']}-{facts['LastModified'].timestamp():.0f}"
