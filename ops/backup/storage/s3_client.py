"""The client for S3 that backups use: time-outs and retries are bounded, and errors say what to do."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

from ops.backup.manifest import CHUNK
from ops.backup.storage.base import MissingError, Writer
from ops.errors import OpsError, TemporaryError

WORKERS: Final = 8
PART_BYTES: Final = 16 * 1024 * 1024
"""Size of a part of a multipart upload; S3 takes 10,000 of them, so that a file may have 156 GiB."""
_CONFIG: Final = Config(
    # "standard" waits twice as long each time, with jitter, and gives up early when a whole service is down.
    retries={"mode": "standard", "total_max_attempts": 6},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=2 * WORKERS,
    # S3 compares a checksum of every upload; of every download, this client does.
    request_checksum_calculation="when_supported",
    response_checksum_validation="when_supported",
)
TRANSFER: Final = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
TRIES: Final = 6
_BROKEN_OFF: Final = (HTTPClientError, IncompleteReadError)
"""Errors of an answer that ended too early."""
_GONE: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_PERMANENT: Final = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "access is denied: look at the role's rights to the bucket and its key",
    "403": "access is denied: look at the role's rights to the bucket and its key",
    "InvalidAccessKeyId": "the access key is not known",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "KMS.NotFoundException": "the key does not exist",
    "KMS.DisabledException": "the key is disabled",
}


def new_client() -> Any:
    """A client with the credentials that the environment or the pod's role gives."""
    return boto3.client("s3", config=_CONFIG)


@dataclass(frozen=True, kw_only=True)
class Location:
    """A bucket, and the keys that begin with ``prefix``, which ends with a slash unless it is empty."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, name: str) -> Self:
        """``s3://bucket[/prefix]``.

        Raises:
            OpsError: it names no bucket.
        """
        parts = urlsplit(name)
        if parts.scheme != "s3" or not parts.netloc:
            raise OpsError(f"{name!r} names no bucket: s3://bucket or s3://bucket/prefix")
        path = parts.path.strip("/")
        return cls(bucket=parts.netloc, prefix=f"{path}/" if path else "")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


@contextmanager
def s3_errors(what: str) -> Iterator[None]:
    """Turn failures of S3 into errors for an operator; ``what`` is the bucket or file in question.

    Raises:
        MissingError: there is no such file.
        TemporaryError: S3 does not answer, or its answer may be another next time.
        OpsError: the bucket, the rights or the key are wrong.
    """
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _GONE:
            raise MissingError(f"{what} is missing") from None
        if code in _PERMANENT:
            raise OpsError(f"{what}: {_PERMANENT[code]}") from None
        raise TemporaryError(f"{what}: S3 answers {code}: {error.response['Error'].get('Message', '')}") from None
    except (BotoCoreError, HTTPClientError, Boto3Error) as error:
        if (cause := error.__cause__ or error.__context__) and isinstance(cause, ClientError):
            with s3_errors(what):
                raise cause from None
        if type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError", "NoRegionError"}:
            raise OpsError(f"{what}: {error}") from None
        raise TemporaryError(f"{what}: no answer from S3: {error}") from None


def list_objects(client: Any, location: Location, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Every object below a location's prefix, as S3 lists it."""
    with s3_errors(str(location)):
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=location.bucket, Prefix=location.prefix + prefix
        )
        for page in pages:
            yield from page.get("Contents", ())


def list_versions(client: Any, location: Location, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Every version and every mark of a deletion below a location's prefix, as S3 lists them; marks have no size."""
    with s3_errors(str(location)):
        pages = client.get_paginator("list_object_versions").paginate(
            Bucket=location.bucket, Prefix=location.prefix + prefix
        )
        for page in pages:
            yield from page.get("Versions", ())
            yield from page.get("DeleteMarkers", ())


def download(client: Any, address: Mapping[str, str], target: Writer) -> None:
    """Write an object's content to ``target`` in order; a download that breaks off resumes where it stopped.

    Raises:
        ClientError, BotoCoreError, HTTPClientError: it cannot be downloaded; see `s3_errors`.
    """
    done, size, tag = 0, None, ""
    for attempt in range(TRIES):
        rest = {"Range": f"bytes={done}-", "IfMatch": tag} if done else {}
        try:
            answer = client.get_object(**address, **rest)
            tag = answer["ETag"]
            size = answer["ContentLength"] if size is None else size
            for chunk in answer["Body"].iter_chunks(CHUNK):
                target.write(chunk)
                done += len(chunk)
        except _BROKEN_OFF:
            if attempt == TRIES - 1:
                raise
        if done == size:
            return
        time.sleep(random.uniform(0, 2**attempt / 4))  # noqa: S311 - so that many do not come back at once
    raise IncompleteReadError(actual_bytes=done, expected_bytes=size or 0)
