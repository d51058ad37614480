"""Sources of data: local files, folders and patterns, and objects in S3, downloaded to temporary files one by one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from training.files import S3, file_sha256, is_pattern
from training.reading_parts import Part, Parts, is_data, local_parts
from training.truth import Truth, truth_path
from training.violations import file_error


@contextmanager
def fetched(source: str) -> Iterator[Path | Parts]:
    """Provide a local file with the content of ``source``, or its parts; a copy from S3 lives as long as the context.

    A folder, a pattern such as ``2026-*.csv`` and a prefix in S3 that ends in ``/`` are tables in parts. A
    ``<stem>.truth.json`` beside a single file is copied too. For S3, boto3 reads its usual variables,
    ``AWS_ENDPOINT_URL`` among them.

    Raises:
        DataError: no such file, object or bucket, no credentials, no access, or an unknown scheme.
    """
    parts = urlsplit(source)
    if parts.scheme == S3:
        if parts.path.endswith("/") and parts.netloc:
            yield _s3_parts(source, parts.netloc, parts.path.lstrip("/"))
            return
        with tempfile.TemporaryDirectory(prefix="churn-") as folder:
            yield _download(source, parts.netloc, parts.path.lstrip("/"), Path(folder))
        return
    if "://" in source:
        raise file_error(source, f"the scheme is {parts.scheme}://", "a local path or s3://bucket/key")
    path = Path(source)
    if path.is_dir() or is_pattern(source):
        yield local_parts(source)
        return
    if not path.is_file():
        raise file_error(source, "no such file", "the path of a CSV or Parquet file")
    yield path


def source_sha256(path: Path | Parts) -> str:
    """Hexadecimal sha256 of a file, or over the digests of all parts."""
    return path.sha256() if isinstance(path, Parts) else file_sha256(path)


def read_truth(data: Path | Parts, data_sha256: str, source: str) -> Truth | None:
    """Read the truth beside a generated file; ``None`` if there is none.

    Raises:
        DataError: the truth cannot be read, or was written for a file with other content.
    """
    if isinstance(data, Parts):
        return None
    path = truth_path(data)
    if not path.is_file():
        return None
    remedy = (
        "the one written with this file: generate the data again (a CSV and a Parquet file need different names), "
        "or delete the truth if the data is your own"
    )
    try:
        truth = Truth.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise file_error(source, f"{path.name} is not a truth file ({where}: {first['msg']})", remedy) from error
    if truth.data_sha256 != data_sha256:
        raise file_error(source, f"{path.name} belongs to a file with other content", remedy)
    return truth


def new_client() -> Any:
    """A client of S3, configured by the usual variables of boto3; it gives up soon if nothing answers."""
    import boto3  # noqa: PLC0415 - as in _refusals
    from botocore.config import Config  # noqa: PLC0415 - as in _refusals

    return boto3.session.Session().client(S3, config=Config(connect_timeout=5, retries={"mode": "standard"}))


def _s3_parts(source: str, bucket: str, prefix: str) -> Parts:
    """The objects below a prefix; each is downloaded when it is read, and its copy removed after that."""
    with _refusals(source, bucket) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        files = [
            Part(name=name, address=entry["Key"], size=entry["Size"])
            for page in pages
            for entry in page.get("Contents", ())
            if is_data(name := entry["Key"].removeprefix(prefix)) and name and not name.endswith("/")
        ]

    @contextmanager
    def fetch(key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="churn-") as folder, _refusals(f"s3://{bucket}/{key}", bucket) as s3:
            target = Path(folder) / PurePosixPath(key).name
            s3.download_file(bucket, key, str(target))
            yield target

    return Parts(source, files, fetch)


@contextmanager
def _refusals(source: str, bucket: str) -> Iterator[Any]:
    """Provide a client of S3, whose errors become errors of the source."""
    # Imported here: it takes half a second, which a local file need not wait for.
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415

    client = new_client()
    try:
        yield client
    except NoCredentialsError as error:
        raise file_error(source, "no AWS credentials", "AWS_ACCESS_KEY_ID, AWS_PROFILE or a role") from error
    except ClientError as error:
        raise file_error(source, refusal(client, bucket, error), "an object these credentials may read") from error
    except BotoCoreError as error:
        raise file_error(source, f"S3 cannot be reached ({error})", "a reachable S3 (AWS_ENDPOINT_URL)") from error


def _download(source: str, bucket: str, key: str, folder: Path) -> Path:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as in _refusals

    if not bucket or not key:
        raise file_error(source, "no bucket or no object name", "s3://bucket/key")
    target = folder / PurePosixPath(key).name
    with _refusals(source, bucket) as client:
        client.download_file(bucket, key, str(target))
        beside = str(truth_path(Path(key)))
        try:
            client.download_file(bucket, beside, str(truth_path(target)))
        except ClientError as error:
            # For a caller that may not list the bucket, S3 answers 403 for an object that does not exist.
            if error.response["Error"]["Code"] not in {"404", "403"}:
                raise
    return target


def refusal(client: Any, bucket: str, error: Any) -> str:
    """The reason for a refusal; a HEAD request's 404 does not say whether the bucket or the object is missing."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as in _refusals

    code = str(error.response["Error"]["Code"])
    if code == "403":
        return "access denied"
    if code not in {"404", "NoSuchKey", "NoSuchBucket"}:
        return f"S3 answered {code}: {error.response['Error'].get('Message', '')}"
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError:
        return f"no bucket {bucket!r}"
    return "no such object"
