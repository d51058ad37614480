"""Writes a finished file to S3: whole or not at all, and over an existing object only on request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from training.files import PathError, exists_error, split_s3
from training.sources import new_client, refusal

_MISSING = "404"


@contextmanager
def uploaded(out: str, folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Provide a path in ``folder`` whose file is uploaded to ``out`` if the context ends without an error.

    First it is checked that the bucket answers and that the object may be written.

    Raises:
        PathError: the object exists, there is no such bucket, no access, no credentials, or no S3.
    """
    bucket, key = split_s3(out)
    client = new_client()
    if _exists(client, out, bucket, key) and not overwrite:
        raise exists_error(out)
    temporary = folder / PurePosixPath(key).name
    yield temporary
    with explained(client, out, bucket):
        client.upload_file(str(temporary), bucket, key)


def _exists(client: Any, out: str, bucket: str, key: str) -> bool:
    with explained(client, out, bucket):
        try:
            client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            # The answer does not say whether the bucket or the object is missing.
            if error.response["Error"]["Code"] != _MISSING:
                raise
            client.head_bucket(Bucket=bucket)
            return False
    return True


@contextmanager
def explained(client: Any, out: str, bucket: str) -> Iterator[None]:
    """Turn refusals of S3 into errors that name the output.

    Raises:
        PathError: no credentials, no access, no such bucket, or no S3.
    """
    try:
        yield
    except NoCredentialsError as error:
        raise PathError(out, "no AWS credentials", "set AWS_ACCESS_KEY_ID, AWS_PROFILE or a role") from error
    except ClientError as error:
        raise PathError(out, refusal(client, bucket, error), "name an object these credentials may write") from error
    except (BotoCoreError, Boto3Error) as error:
        raise PathError(out, f"S3 cannot be reached ({error})", "check AWS_ENDPOINT_URL and the network") from error
