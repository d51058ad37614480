"""S3 as backups use it: one client with bounded time and patience, and errors in words."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
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
from ops.backup.store import MissingError, Writer
from ops.errors import OpsError, TemporaryError

WORKERS: Final = 8
PART_BYTES: Final = 16 * 1024 * 1024
"""Of a multipart transfer: 10,000 of them are 156 GiB, the largest file there can be."""
_CONFIG: Final = Config(
    # "standard" waits twice as long each time, with jitter, and gives up early when a whole service is down.
    retries={"mode": "standard", "total_max_attempts": 6},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=2 * WORKERS,
    # Every upload carries a checksum that S3 compares, every download one that is compared here.
    request_checksum_calculation="when_supported",
    response_checksum_validation="when_supported",
)
TRANSFER: Final = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
TRIES: Final = 6
BROKEN: Final = (HTTPClientError, IncompleteReadError)
"""What a broken answer is told by."""
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
class Place:
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
def told(what: str) -> Iterator[None]:
    """Turn S3's failures into ours; ``what`` is the place or file in question.

    Raises:
        MissingError: there is no such file.
        TemporaryError: no answer, or one that may be another next time.
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
            with told(what):
                raise cause from None
        if type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError", "NoRegionError"}:
            raise OpsError(f"{what}: {error}") from None
        raise TemporaryError(f"{what}: no answer from S3: {error}") from None


def pages(client: Any, place: Place, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Every object below a place's prefix, as S3 lists it."""
    with told(str(place)):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix + prefix):
            yield from page.get("Contents", ())


def download(client: Any, bucket: str, key: str, into: Writer) -> None:
    """Write an object's content in its order; an answer that breaks off is gone on with where it broke.

    Raises:
        ClientError, BotoCoreError, HTTPClientError: it cannot be had; see `told`.
    """
    done, size, tag = 0, None, ""
    for attempt in range(TRIES):
        given = {"Range": f"bytes={done}-", "IfMatch": tag} if done else {}
        try:
            answer = client.get_object(Bucket=bucket, Key=key, **given)
            tag = answer["ETag"]
            size = answer["ContentLength"] if size is None else size
            for chunk in answer["Body"].iter_chunks(CHUNK):
                into.write(chunk)
                done += len(chunk)
        except BROKEN:
            if attempt == TRIES - 1:
                raise
        if done == size:
            return
        time.sleep(random.uniform(0, 2**attempt / 4))  # noqa: S311 - so that many do not come back at once
    raise IncompleteReadError(actual_bytes=done, expected_bytes=size or 0)
