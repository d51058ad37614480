"""The tie between dump and artifacts: what a registered version needs, and what the message says when it is missing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from support.backups import SHA256

from app import bundle
from ops.backup import postgres as backup_postgres
from ops.backup.manifest import Artifact, Version
from ops.backup.models import broken_versions

FOLDER = "1/models/m-1/artifacts"
MODEL = b"a model"
MANIFEST = json.dumps(
    {"files": {"model.onnx": {"bytes": len(MODEL), "sha256": hashlib.sha256(MODEL).hexdigest()}}}
).encode()
CONTENTS = {
    f"{FOLDER}/MLmodel": b"about",
    f"{FOLDER}/serving/manifest.json": MANIFEST,
    f"{FOLDER}/serving/model.onnx": MODEL,
}


def version(**more: Any) -> Version:
    fields: dict[str, Any] = {
        "model": "churn", "version": 1, "aliases": ["production"], "location": f"mlflow-artifacts:/{FOLDER}",
        "manifest_sha256": hashlib.sha256(MANIFEST).hexdigest(),
    }  # fmt: skip
    return Version(**fields | more)


def broken(contents: dict[str, bytes], of: Version) -> list[str]:
    by_sha256 = {hashlib.sha256(content).hexdigest(): content for content in contents.values()}
    tree = [
        Artifact(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), seen="")
        for path, content in contents.items()
    ]
    return [problem.why for problem in broken_versions([of], tree, lambda artifact: by_sha256[artifact.sha256])]


def test_a_whole_version_is_not_broken() -> None:
    assert broken(CONTENTS, version()) == []
    assert broken(CONTENTS, version(location=f"mlflow-artifacts://mlflow:5000/{FOLDER}")) == []


@pytest.mark.parametrize(
    ("without", "why"),
    [
        ("serving/manifest.json", "serving/manifest.json is missing"),
        ("serving/model.onnx", "serving/model.onnx is missing"),
    ],
)
def test_a_missing_file_is_named(without: str, why: str) -> None:
    left = {path: content for path, content in CONTENTS.items() if not path.endswith(without)}
    assert broken(left, version()) == [f"{FOLDER}/{why}"]


def test_a_file_that_differs_from_the_registered_one_is_named() -> None:
    changed = CONTENTS | {f"{FOLDER}/serving/model.onnx": b"another"}
    assert broken(changed, version()) == [f"{FOLDER}/serving/model.onnx is not the one that was registered"]
    assert broken(CONTENTS, version(manifest_sha256=SHA256)) == [
        f"{FOLDER}/serving/manifest.json is not the one that was registered"
    ]


def test_an_empty_folder_is_reported() -> None:
    assert broken({}, version()) == [f"there is nothing at {FOLDER}"]
    assert broken({f"{FOLDER}-other/MLmodel": b"x"}, version()) == [f"there is nothing at {FOLDER}"]


@pytest.mark.parametrize(
    "location", ["s3://elsewhere/x", "file:///x", "mlflow-artifacts:/", "mlflow-artifacts:/a/../b"]
)
def test_artifacts_outside_the_store_are_reported(location: str) -> None:
    assert "which is not in this artifact store" in broken(CONTENTS, version(location=location))[0]


def test_a_version_without_a_bundle_needs_its_folder() -> None:
    assert broken({f"{FOLDER}/MLmodel": b"x"}, version(manifest_sha256=None)) == []


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"files": []}', b"nonsense"])
def test_a_registered_manifest_that_is_not_one_is_reported(content: bytes) -> None:
    changed = CONTENTS | {f"{FOLDER}/serving/manifest.json": content}
    sha256 = hashlib.sha256(content).hexdigest()
    assert broken(changed, version(manifest_sha256=sha256)) == [f"{FOLDER}/serving/manifest.json names no files"]


def test_the_names_are_those_of_the_bundle() -> None:
    assert f"{FOLDER}/{bundle.ARTIFACT_FOLDER}/{bundle.MANIFEST}" in CONTENTS
    assert f"t.key) = (v.name, v.version, '{bundle.MANIFEST_TAG}')" in backup_postgres._VERSIONS
