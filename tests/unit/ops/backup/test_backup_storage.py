"""A folder and a bucket behave the same behind the one storage interface."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from support.aws_api import account
from support.paths import ROOT

from ops.backup.manifest import CHUNK, Digest
from ops.backup.storage import open_artifacts, open_backups
from ops.backup.storage.base import MissingError, Storage
from ops.backup.storage.bucket import BucketStorage
from ops.backup.storage.folder import FolderStorage
from ops.errors import OpsError

FILES = {"a/1.txt": b"one", "a/deep/er/2.bin": b"\0" * (2 * CHUNK + 1), "ab/3.txt": b"", "top.txt": b"top"}
BUCKET = "churn-test-storage"


@pytest.fixture
def folder(tmp_path: Path) -> Storage:
    for key, content in FILES.items():
        path = tmp_path / "storage" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return open_artifacts(str(tmp_path / "storage"))


@pytest.fixture
def bucket() -> Iterator[Storage]:
    with account():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for key, content in {**FILES, "empty/": b""}.items():
            s3.put_object(Bucket=BUCKET, Key=f"prefix/{key}", Body=content)
        s3.put_object(Bucket=BUCKET, Key="prefix-of-another/x", Body=b"not ours")
        yield open_artifacts(f"s3://{BUCKET}/prefix/")


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest) -> Storage:
    opened: Storage = request.getfixturevalue(request.param)
    return opened


def test_items_are_all_files_or_those_below_a_prefix(storage: Storage) -> None:
    assert {item.key: item.bytes for item in storage.items()} == {key: len(data) for key, data in FILES.items()}
    assert {item.key for item in storage.items("a")} == {"a/1.txt", "a/deep/er/2.bin"}
    assert list(storage.items("missing")) == []
    assert all(item.is_regular for item in storage.items())


def test_the_state_of_an_item_is_that_of_the_file(storage: Storage) -> None:
    states = {item.key: item.state for item in storage.items()}
    assert {key: storage.state(key) for key in FILES} == states


def test_a_file_is_copied_and_hashed(storage: Storage) -> None:
    for key, content in FILES.items():
        target = io.BytesIO()
        expected = Digest(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        assert storage.copy(key, target) == storage.copy(key) == expected
        assert target.getvalue() == content


def test_a_small_file_is_read_and_a_larger_one_refused(storage: Storage) -> None:
    assert storage.read("a/1.txt", 3) == b"one"
    with pytest.raises(OpsError, match=r"a/1\.txt is larger than the 2 bytes it may have"):
        storage.read("a/1.txt", 2)


def test_a_file_is_local_for_programs_that_need_a_path(storage: Storage, tmp_path: Path) -> None:
    with storage.local("a/1.txt", tmp_path) as path:
        assert path.read_bytes() == b"one"


def test_a_missing_file_is_named(storage: Storage, tmp_path: Path) -> None:
    for use in (
        lambda: storage.state("a/none"),
        lambda: storage.read("a/none", 9),
        lambda: storage.copy("a/none", io.BytesIO()),
        lambda: storage.copy("top.txt/none", io.BytesIO()),
    ):
        with pytest.raises(MissingError, match=r"none is missing$"):
            use()
    assert list(tmp_path.glob("none*")) == []


def test_an_error_of_the_target_is_not_one_of_the_file(folder: Storage) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        folder.copy("a/1.txt", full)


def test_a_bucket_of_backups_must_be_encrypted_and_one_of_artifacts_need_not(bucket: Storage) -> None:
    assert bucket.copy("top.txt").bytes == 3
    boto3.client("s3").delete_bucket_encryption(Bucket=BUCKET)
    with pytest.raises(OpsError, match="is not encrypted with"):
        open_backups(f"s3://{BUCKET}/prefix").copy("top.txt")


@pytest.mark.parametrize(("name", "kind"), [(".", FolderStorage), ("s3://b/p", BucketStorage)])
def test_a_name_says_which_kind_it_is(name: str, kind: type[Storage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert isinstance(open_backups(name), kind)
    assert isinstance(open_artifacts(name), kind)


@pytest.mark.parametrize("name", ["/no/such/folder", "s3://", "s3:///key"])
def test_a_name_without_a_storage_is_refused(name: str) -> None:
    with pytest.raises(OpsError, match=r"there is no such folder with backups|names no bucket"):
        open_backups(name)


def test_each_module_can_be_imported_first() -> None:
    """There is no circle of imports, and a folder needs no boto3."""
    modules = sorted(path.relative_to(ROOT) for path in (ROOT / "ops" / "backup").rglob("*.py"))
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in modules]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for loaded in [m for m in sys.modules if m == 'ops' or m.startswith('ops.')]:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    light = "import sys, ops.backup.run, ops.backup.restore, ops.backup.verify\nsys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", light], cwd=ROOT, check=False).returncode == 0
