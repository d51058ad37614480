"""Nights of backups into a stand-in for the bucket, by the jobs' own code and roles, and whoever wants them gone."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError
from support.aws_api import as_api
from support.backups import START, artifacts_manifest, dump_manifest, write_manifest
from support.iam import Identity
from support.recorder import recorded
from support.versioned_bucket import VersionedBucket
from support.workload_roles import workload_roles

from ops.backup import expiry
from ops.backup import upload as backup_upload
from ops.backup.catalog import Catalog, key_of, tree_of
from ops.backup.manifest import MANIFEST, TREE, Artifact, ArtifactsManifest, Digest, Tie, digest, render, write_tree
from ops.backup.root import Root
from ops.backup.storage import bucket as bucket_storage
from ops.backup.storage.as_of import BucketAsOf
from ops.errors import OpsError

KEEP_DAYS: Final = 90
ON_VOLUME_DAYS: Final = 7
NEEDED_DAYS: Final = 30
DUMP: Final = "mlflow.dump"


def stand_in(stack: str, clock: Clock) -> VersionedBucket:
    """The stack's bucket for backups as it is recorded."""
    inputs = {item.name: item.inputs for item in recorded(stack).resources if item.name.startswith("storage-backups-")}
    rules: list[dict[str, Any]] = as_api(inputs["storage-backups-lifecycle"]["rules"])
    encryption = as_api(inputs["storage-backups-encryption"]["rules"])[0]["ApplyServerSideEncryptionByDefault"]
    lock = inputs.get("storage-backups-lock")
    days = None if lock is None else int(lock["rule"]["defaultRetention"]["days"])
    name = f"churn-{stack}-backups-000000000000-eu-central-1"
    return VersionedBucket(name=name, key=encryption["KMSMasterKeyID"], rules=rules, lock_days=days, now=clock.now)


class Clock:
    """The time of the simulation, in the place of ``datetime`` in the modules that ask for it."""

    def __init__(self) -> None:
        self.time = START

    def now(self, zone: Any = UTC) -> datetime:
        """Return the simulated time."""
        return self.time.astimezone(zone)


def contents(day: int) -> dict[str, bytes]:
    """The artifacts of a day: some for ever, some for a month or a day, and one that comes back after a long time."""
    files = {f"old/{number}.bin": b"for ever %d" % number for number in range(3)}
    files |= {"month.bin": b"month %d" % (day // 30), "day.bin": b"day %d" % day}
    return files if 120 <= day < 260 else {**files, "back.bin": b"comes back"}


class History:
    """The bucket of a stack over many nights."""

    def __init__(self, stack: str, folder: Path) -> None:
        self.clock, self.folder = Clock(), folder
        self.bucket = stand_in(stack, self.clock)
        roles = workload_roles(recorded(stack))
        self.writer, self.marker, self.reader = (roles[name] for name in ("backup", "backup-expiry", "restore"))
        self.at: dict[int, datetime] = {}
        """When each night was over."""

    @contextmanager
    def acting(self, role: Identity) -> Iterator[None]:
        """Let the jobs' code run with a role, at the simulated time."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bucket_storage, "new_client", lambda: self.bucket.client(role))
            patch.setattr(backup_upload, "datetime", self.clock)
            patch.setattr(expiry, "datetime", self.clock)
            yield

    def night(self, day: int) -> None:
        """Back up, upload, mark what has expired, and let a day pass."""
        self.clock.time = START + timedelta(days=day)
        self._back_up(day)
        name = f"s3://{self.bucket.name}"
        with self.acting(self.writer):
            backup_upload.upload(Root(self.folder), name, keep_days=KEEP_DAYS, say=lambda _: None)
        self.at[day] = self.clock.time
        self.clock.time += timedelta(hours=5)
        with self.acting(self.marker):
            expiry.expire(name, keep_days=KEEP_DAYS, say=lambda _: None)
        self.clock.time += timedelta(hours=1)
        self.bucket.live()

    def _back_up(self, day: int) -> None:
        at, sequence = self.clock.time, 2 * day + 2
        draft = self.folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        (draft / DUMP).write_bytes(b"rows of day %d" % day)
        dump = dump_manifest(sequence, finished_at=at, files={DUMP: digest(draft / DUMP)})
        shutil.move(draft / DUMP, write_manifest(self.folder, dump) / DUMP)
        tree = []
        for path, body in contents(day).items():
            sha256 = hashlib.sha256(body).hexdigest()
            tree.append(Artifact(path=path, bytes=len(body), sha256=sha256, seen=""))
            where = self.folder / tree[-1].key
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_bytes(body)
        write_tree(draft / TREE, tree)
        tie = Tie(id=dump.id, manifest_sha256=hashlib.sha256(render(dump)).hexdigest())
        copied = artifacts_manifest(
            sequence + 1, sequence, finished_at=at, files={TREE: digest(draft / TREE)}, database=tie
        )
        shutil.move(draft / TREE, write_manifest(self.folder, copied) / TREE)
        for kind, number in (("postgres", sequence), ("artifacts", sequence + 1)):
            old = dump_manifest(number - 2 * ON_VOLUME_DAYS).id if number > 2 * ON_VOLUME_DAYS else ""
            if old:
                shutil.rmtree(self.folder / kind / old, ignore_errors=True)

    def lost(self, days: range, as_of: datetime) -> list[str]:
        """What a restore of each day misses, from the bucket as it was at a time, with the restore's role."""
        with self.acting(self.reader):
            storage = BucketAsOf(f"s3://{self.bucket.name}", as_of, require_encryption=True)
            catalog = Catalog(storage)
            copies = {backup.sequence: backup for backup in catalog.artifacts}
            missing = [f"day {day}: no backup" for day in days if 2 * day + 3 not in copies]
            for day in days:
                if 2 * day + 3 in copies:
                    missing += [f"day {day}: {what}" for what in _damage(storage, catalog, copies[2 * day + 3])]
        return missing


def _damage(storage: BucketAsOf, catalog: Catalog, copied: ArtifactsManifest) -> list[str]:
    """Every file of a backup and its dump that is not what the manifests say."""
    try:
        dump = catalog.pair(copied.id).postgres
        tree = tree_of(storage, copied)
    except OpsError as error:
        return [str(error)]
    expected = {artifact.key: Digest(bytes=artifact.bytes, sha256=artifact.sha256) for artifact in tree}
    expected |= {key_of(dump, name): file for name, file in dump.files.items()}
    damage = []
    for key, file in expected.items():
        try:
            if storage.copy(key) != file:
                damage.append(f"{key} is something else")
        except OpsError as error:
            damage.append(str(error))
    if storage.copy(key_of(dump, MANIFEST)).sha256 != copied.database.manifest_sha256:
        damage.append(f"{dump.id} is not the dump that it was tied to")
    return damage


def attack(bucket: VersionedBucket, role: Identity, *, forge: bool) -> dict[str, int]:
    """Try everything with a role's rights, against every object; returns how often each kind of attack succeeded.

    With ``forge``, older versions are attacked too, and backups are forged; it is enough to do that once.
    """
    client, now = bucket.client(role), bucket.now()
    done: dict[str, int] = {}

    def attempt(kind: str, call: Any, **arguments: Any) -> None:
        with suppress(ClientError):
            call(Bucket=bucket.name, **arguments)
            done[kind] = done.get(kind, 0) + 1

    marking = {"TagSet": [backup_upload.EXPIRED]}
    tag = "=".join(backup_upload.EXPIRED.values())
    for key, versions in list(bucket.objects.items()):
        for stored in list(versions if forge else versions[:1]):
            attempt("delete version", client.delete_object, Key=key, VersionId=stored.id)
            attempt("mark version", client.put_object_tagging, Key=key, VersionId=stored.id, Tagging=marking)
            for mode, until in (("GOVERNANCE", now + timedelta(days=1)), ("COMPLIANCE", now + timedelta(days=36500))):
                retention = {"Mode": mode, "RetainUntilDate": until}
                attempt("lock", client.put_object_retention, Key=key, VersionId=stored.id, Retention=retention)
        attempt("mark", client.put_object_tagging, Key=key, Tagging=marking)
        attempt("delete", client.delete_object, Key=key)
        body = b"x" * len(versions[0].body or b"x") if versions else b"x"
        attempt("overwrite and mark", client.put_object, Key=key, Body=body, Tagging=tag)
        attempt("overwrite", client.put_object, Key=key, Body=body)
    # Forged backups that claim to be newer than all others, and to have been made long ago: all others look expired.
    for number in range(10**6, 10**6 + KEEP_DAYS + 4) if forge else ():
        forged = dump_manifest(number, finished_at=START - timedelta(days=3650))
        attempt("forge", client.put_object, Key=key_of(forged, MANIFEST), Body=render(forged))
    return done
