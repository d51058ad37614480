"""A stand-in for a versioned bucket in S3: versions, locks, tags, its lifecycle, and what each role may do with it.

It is no kinder than S3. Where S3 waits for midnight before its lifecycle acts, this acts at once. Sources, all in the
Amazon S3 User Guide: "Expiring objects" (what a lifecycle does in a versioned bucket), "How S3 Object Lock works" (a
lock holds a version, and prevents neither newer versions nor marks of deletion), "Policy actions" (which right a header
or a version id asks for), and "Checking object integrity" (checksums that S3 computes).
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError
from support.iam import Identity, Request, allowed

DAY: Final = 86400
COMPLIANCE: Final = "COMPLIANCE"


@dataclass(kw_only=True)
class Stored:
    """One version of an object; without a body it is the mark of a deletion."""

    id: str
    body: bytes | None
    modified: datetime
    tags: dict[str, str] = field(default_factory=dict)
    checksum: str = ""
    """The algorithm that the upload named; S3 has no SHA-256 of any other object (boto3, `Object.checksum_sha256`)."""
    mode: str = ""
    until: datetime | None = None

    def is_locked(self, now: datetime) -> bool:
        """Whether nobody can delete it yet."""
        return self.mode == COMPLIANCE and self.until is not None and self.until > now


@dataclass(kw_only=True)
class VersionedBucket:
    """The bucket; ``rules`` are those of its lifecycle in the form of S3's API, ``now`` is its clock."""

    name: str
    key: str
    rules: list[dict[str, Any]]
    lock_days: int | None
    now: Callable[[], datetime]
    objects: dict[str, list[Stored]] = field(default_factory=dict)
    """Versions by key, the newest first."""
    _ids: Iterator[int] = field(default_factory=itertools.count)
    _verdicts: dict[Any, bool] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """Its name in policies."""
        return f"arn:aws:s3:::{self.name}"

    def client(self, identity: Identity) -> Client:
        """A client with the rights of a role."""
        return Client(self, identity)

    def need(self, identity: Identity, action: str, key: str | None = None, **context: Any) -> None:
        """Refuse what a role may not do."""
        resource = self.arn if key is None else f"{self.arn}/{key}"
        question = (identity.arn, action, resource, repr(sorted(context.items())))
        if question not in self._verdicts:
            request = Request(action=action, resource=resource, context=context)
            self._verdicts[question] = allowed(identity, request)
        if not self._verdicts[question]:
            raise refusal("AccessDenied", action)

    def need_key(self, identity: Identity, action: str) -> None:
        """Refuse a role that may not use the bucket's key, whose policy leaves that to the account's policies."""
        policy = [{"Effect": "Allow", "Principal": {"AWS": identity.root}, "Action": "kms:*", "Resource": "*"}]
        if not allowed(identity, Request(action=action, resource=self.key), policy):
            raise refusal("AccessDenied", action)

    def current(self, key: str) -> Stored:
        """The version that is current, unless that is the mark of a deletion."""
        newest = self.objects.get(key, [None])[0]
        if newest is None or newest.body is None:
            raise refusal("NoSuchKey", key)
        return newest

    def version(self, key: str, version_id: str | None) -> Stored:
        """One version, or the current one."""
        if version_id is None:
            return self.current(key)
        for stored in self.objects.get(key, ()):
            if stored.id == version_id and stored.body is not None:
                return stored
        raise refusal("NoSuchVersion", key)

    def add(self, key: str, body: bytes | None) -> Stored:
        """Put a version, or the mark of a deletion, on top of the others."""
        stored = Stored(id=f"v{next(self._ids):08}", body=body, modified=self.now())
        if body is not None and self.lock_days is not None:
            stored.mode, stored.until = COMPLIANCE, self.now() + timedelta(days=self.lock_days)
        self.objects.setdefault(key, []).insert(0, stored)
        return stored

    def live(self) -> None:
        """Let the lifecycle do what it would by now."""
        for rule in (rule for rule in self.rules if rule["Status"] == "Enabled"):
            for key, versions in list(self.objects.items()):
                self._expire(rule, key, versions)
                self._forget(rule, versions)
        self.objects = {
            key: versions
            for key, versions in self.objects.items()
            if versions and not (len(versions) == 1 and versions[0].body is None)
        }

    def _expire(self, rule: dict[str, Any], key: str, versions: list[Stored]) -> None:
        days, newest = rule.get("Expiration", {}).get("Days"), versions[0]
        tag = rule.get("Filter", {}).get("Tag")
        if days is None or newest.body is None or (tag and newest.tags.get(tag["Key"]) != tag["Value"]):
            return
        if self.now() - newest.modified >= timedelta(days=days):
            self.add(key, None)

    def _forget(self, rule: dict[str, Any], versions: list[Stored]) -> None:
        days = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
        if days is None:
            return
        for newer, stored in list(itertools.pairwise(versions)):
            # A version is noncurrent since the next newer one came.
            if self.now() - newer.modified >= timedelta(days=days) and not stored.is_locked(self.now()):
                versions.remove(stored)


def refusal(code: str, what: str) -> ClientError:
    """The error of S3's client."""
    return ClientError({"Error": {"Code": code, "Message": what}}, "Request")


class _Exceptions:
    ClientError = ClientError


@dataclass(frozen=True, kw_only=True)
class _Pages:
    list_all: Callable[[str, str], dict[str, Any]]

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        yield self.list_all(Bucket, Prefix)


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while chunk := self.read(size):
            yield chunk


class Client:
    """The calls of boto3's client for S3 that backups make, and those that an attacker would try."""

    # ruff: noqa: N803 - the arguments have the names that boto3 gives them
    exceptions = _Exceptions

    def __init__(self, bucket: VersionedBucket, identity: Identity) -> None:
        self._bucket, self._identity = bucket, identity

    def _need(self, bucket: str, action: str, key: str | None = None, **context: Any) -> None:
        if bucket != self._bucket.name:  # there is no other
            raise refusal("NoSuchBucket", bucket)
        self._bucket.need(self._identity, action, key, **context)

    def get_paginator(self, name: str) -> _Pages:
        return _Pages(list_all={"list_objects_v2": self._objects, "list_object_versions": self._versions}[name])

    def _objects(self, bucket: str, prefix: str) -> dict[str, Any]:
        self._need(bucket, "s3:ListBucket")
        current = [(key, versions[0]) for key, versions in self._bucket.objects.items() if key.startswith(prefix)]
        return {"Contents": [_entry(key, stored) for key, stored in current if stored.body is not None]}

    def _versions(self, bucket: str, prefix: str) -> dict[str, Any]:
        self._need(bucket, "s3:ListBucketVersions")
        page: dict[str, list[Any]] = {"Versions": [], "DeleteMarkers": []}
        for key, versions in self._bucket.objects.items():
            for number, stored in enumerate(versions if key.startswith(prefix) else ()):
                entry = {**_entry(key, stored), "VersionId": stored.id, "IsLatest": number == 0}
                page["DeleteMarkers" if stored.body is None else "Versions"].append(entry)
        return page

    def head_object(
        self, *, Bucket: str, Key: str, VersionId: str | None = None, ChecksumMode: str = ""
    ) -> dict[str, Any]:
        self._need(Bucket, "s3:GetObject" if VersionId is None else "s3:GetObjectVersion", Key)
        stored = self._bucket.version(Key, VersionId)
        body = stored.body or b""
        head = {
            **_entry(Key, stored), "ContentLength": len(body), "SSEKMSKeyId": self._bucket.key,
            "ServerSideEncryption": "aws:kms",
        }  # fmt: skip
        if ChecksumMode == "ENABLED" and stored.checksum == "SHA256":
            head["ChecksumSHA256"] = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if stored.until is not None:
            try:
                self._need(Bucket, "s3:GetObjectRetention", Key)
            except ClientError:  # S3 leaves the lock out of the answer then
                return head
            head |= {"ObjectLockMode": stored.mode, "ObjectLockRetainUntilDate": stored.until}
        return head

    def get_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        self._bucket.need_key(self._identity, "kms:Decrypt")
        head = self.head_object(Bucket=Bucket, Key=Key, VersionId=VersionId)
        return head | {"Body": _Body(self._bucket.version(Key, VersionId).body or b"")}

    def upload_file(self, path: str, bucket: str, key: str, *, ExtraArgs: dict[str, str], Config: Any) -> None:
        del Config
        self.put_object(Bucket=bucket, Key=key, Body=Path(path).read_bytes(), **ExtraArgs)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, Tagging: str = "", ChecksumAlgorithm: str = "") -> None:
        self._need(Bucket, "s3:PutObject", Key)
        tags = dict([Tagging.split("=")]) if Tagging else {}
        if tags:
            self._need(Bucket, "s3:PutObjectTagging", Key, **_of_tags(tags))
        self._bucket.need_key(self._identity, "kms:GenerateDataKey")
        stored = self._bucket.add(Key, Body)
        stored.tags, stored.checksum = tags, ChecksumAlgorithm

    def put_object_tagging(
        self, *, Bucket: str, Key: str, Tagging: dict[str, Any], VersionId: str | None = None
    ) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in Tagging["TagSet"]}
        self._need(
            Bucket, "s3:PutObjectTagging" if VersionId is None else "s3:PutObjectVersionTagging", Key, **_of_tags(tags)
        )
        self._bucket.version(Key, VersionId).tags = tags

    def put_object_retention(
        self, *, Bucket: str, Key: str, Retention: dict[str, Any], VersionId: str | None = None
    ) -> None:
        mode, until, now = Retention["Mode"], Retention["RetainUntilDate"], self._bucket.now()
        days = math.ceil((until - now).total_seconds() / DAY)
        context = {"s3:object-lock-mode": mode, "s3:object-lock-remaining-retention-days": days}
        self._need(Bucket, "s3:PutObjectRetention", Key, **context)
        stored = self._bucket.version(Key, VersionId)
        if stored.is_locked(now) and (mode != COMPLIANCE or stored.until is None or until < stored.until):
            raise refusal("AccessDenied", "a lock in COMPLIANCE mode can only become longer")
        stored.mode, stored.until = mode, until

    def delete_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> None:
        self._need(Bucket, "s3:DeleteObject" if VersionId is None else "s3:DeleteObjectVersion", Key)
        if VersionId is None:
            self._bucket.add(Key, None)
            return
        for stored in list(self._bucket.objects.get(Key, ())):
            if stored.id == VersionId:
                if stored.is_locked(self._bucket.now()):
                    raise refusal("AccessDenied", "the version is locked")
                self._bucket.objects[Key].remove(stored)
        if not self._bucket.objects.get(Key):
            self._bucket.objects.pop(Key, None)

    def get_bucket_encryption(self, *, Bucket: str) -> dict[str, Any]:
        self._need(Bucket, "s3:GetEncryptionConfiguration")
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self._bucket.key}
        return {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}}

    def get_bucket_lifecycle_configuration(self, *, Bucket: str) -> dict[str, Any]:
        self._need(Bucket, "s3:GetLifecycleConfiguration")
        return {"Rules": self._bucket.rules}

    def get_object_lock_configuration(self, *, Bucket: str) -> dict[str, Any]:
        self._need(Bucket, "s3:GetBucketObjectLockConfiguration")
        if self._bucket.lock_days is None:
            raise refusal("ObjectLockConfigurationNotFoundError", self._bucket.name)
        default = {"Mode": COMPLIANCE, "Days": self._bucket.lock_days}
        return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}}}


def _entry(key: str, stored: Stored) -> dict[str, Any]:
    tag = hashlib.md5(stored.body or b"", usedforsecurity=False).hexdigest()
    entry = {"Key": key, "LastModified": stored.modified, "ETag": f'"{tag}"'}
    return entry if stored.body is None else {**entry, "Size": len(stored.body)}


def _of_tags(tags: dict[str, str]) -> dict[str, Any]:
    """The condition keys of a request that brings tags."""
    return {"s3:RequestObjectTagKeys": list(tags), **{f"s3:RequestObjectTag/{k}": v for k, v in tags.items()}}
