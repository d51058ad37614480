"""Writes a table in parts to a prefix in S3: each part is uploaded at once, and all of them appear at the end."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from training.folder_marker import SUCCESS, Folder, check_replaceable, names_in, read_marker
from training.outputs import room
from training.s3_output import explained
from training.sources import new_client

UNFINISHED: Final = "_UNFINISHED"
"""Lists the parts that a run may have left, from the moment at which the first one appears until all have."""
CHUNK_BYTES: Final = 64 * 1024 * 1024
"""Bytes of one request: with at most 10,000 of them, a part may have 640 GB."""


class _S3Folder:
    """Uploads parts without completing the uploads, so that nobody sees one before all are there."""

    def __init__(self, client: Any, bucket: str, prefix: str, folder: Path) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._folder = folder
        self._marker: Mapping[str, Any] = {}
        self._uploads: dict[str, tuple[str, list[dict[str, Any]]]] = {}
        self._complete: list[str] = []
        self._appearing = False

    def path(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def put(self, name: str) -> None:
        target = {"Bucket": self._bucket, "Key": self._prefix + name}
        upload = self._client.create_multipart_upload(**target)["UploadId"]
        etags: list[dict[str, Any]] = []
        self._uploads[name] = upload, etags
        path = self._folder / name
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                number = len(etags) + 1
                answer = self._client.upload_part(**target, UploadId=upload, PartNumber=number, Body=chunk)
                etags.append({"ETag": answer["ETag"], "PartNumber": number})
        path.unlink()

    def finish(self, marker: Mapping[str, Any]) -> None:
        self._marker = marker

    def publish(self, old: set[str]) -> None:
        """Complete all uploads; ``old`` names the objects of an earlier run."""
        self._appearing = True
        every = sorted(names_in(self._marker) | (old - {SUCCESS, UNFINISHED}))
        self._write(UNFINISHED, {"parts": [{"name": name} for name in every]})
        self._delete(SUCCESS)
        for name, (upload, etags) in self._uploads.items():
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._prefix + name, UploadId=upload, MultipartUpload={"Parts": etags}
            )
            self._complete.append(name)
        for name in old - set(self._uploads) - {SUCCESS, UNFINISHED}:
            self._delete(name)
        self._write(SUCCESS, self._marker)
        self._delete(UNFINISHED)

    def abandon(self, old: set[str]) -> None:
        """Drop what was uploaded. What replaced a part of an earlier run stays, and is listed as unfinished."""
        for name, (upload, _) in self._uploads.items():
            with suppress(BotoCoreError, ClientError):
                if name not in self._complete:
                    self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._prefix + name, UploadId=upload)
                elif name not in old:
                    self._delete(name)
        if self._appearing and not old:
            with suppress(BotoCoreError, ClientError):
                self._delete(SUCCESS)
                self._delete(UNFINISHED)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        body = (json.dumps(content, indent=1) + "\n").encode()
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=body)

    def _delete(self, name: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)


@contextmanager
def uploaded_folder(out: str, *, overwrite: bool) -> Iterator[Folder]:
    """Provide a folder whose parts appear below ``s3://bucket/prefix/`` if the context ends without an error.

    Each part is a multipart upload that is completed only at the end, then ``_SUCCESS`` is written. After an error
    the uploads are aborted. S3 cannot replace several objects at once: while parts of an earlier run are being
    replaced, there is no ``_SUCCESS``.

    Raises:
        PathError: the prefix holds something that may not be replaced, there is no such bucket, no access, no
            credentials, or no S3.
    """
    parts = urlsplit(out)
    bucket, prefix = parts.netloc, parts.path.lstrip("/")
    client = new_client()
    with explained(client, out, bucket):
        old = _objects(client, bucket, prefix)
        marker = next(
            (read for name in (SUCCESS, UNFINISHED) if (read := _read(client, bucket, prefix, name, old))), None
        )
    check_replaceable(out, old - {UNFINISHED} if marker else old, marker, overwrite=overwrite)
    with tempfile.TemporaryDirectory(prefix="churn-") as temporary, room(temporary):
        folder = _S3Folder(client, bucket, prefix, Path(temporary))
        try:
            with explained(client, out, bucket):
                yield folder
                folder.publish(old)
        except BaseException:
            folder.abandon(old)
            raise


def _objects(client: Any, bucket: str, prefix: str) -> set[str]:
    """Names below a prefix; the empty object that some consoles make for a folder is none."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {name for page in pages for entry in page.get("Contents", ()) if (name := entry["Key"].removeprefix(prefix))}


def _read(client: Any, bucket: str, prefix: str, name: str, present: set[str]) -> Mapping[str, Any] | None:
    if name not in present:
        return None
    return read_marker(client.get_object(Bucket=bucket, Key=prefix + name)["Body"].read())
