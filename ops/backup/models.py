"""Ties a dump to artifacts: does every registered version of the dump have all its files in the tree?"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from app import bundle
from ops.backup.manifest import Artifact, Broken, Version, is_inside

PROXIED: Final = "mlflow-artifacts"
"""Scheme of locations behind MLflow's artifact proxy."""

Read = Callable[[Artifact], bytes]
"""Reads the content of an artifact."""


def folder_of(version: Version) -> str | None:
    """The folder of a version's artifacts within the artifact store; None if they are somewhere else."""
    parts = urlsplit(version.location)
    path = parts.path.strip("/")
    return path if parts.scheme == PROXIED and is_inside(path) else None


def broken_versions(versions: Iterable[Version], tree: Iterable[Artifact], read: Read) -> list[Broken]:
    """The versions that could not be loaded from this tree, each with the first thing that is missing."""
    by_path = {artifact.path: artifact for artifact in tree}
    below: dict[str, int] = defaultdict(int)
    for path in by_path:
        parts = path.split("/")
        for length in range(1, len(parts)):
            below["/".join(parts[:length])] += 1
    return [
        Broken(model=version.model, version=version.version, why=why)
        for version in versions
        if (why := _problem(version, by_path, below, read))
    ]


def _problem(version: Version, by_path: dict[str, Artifact], below: dict[str, int], read: Read) -> str | None:
    folder = folder_of(version)
    if folder is None:
        return f"its artifacts are at {version.location}, which is not in this artifact store"
    if not below.get(folder):
        return f"there is nothing at {folder}"
    if version.manifest_sha256 is None:
        return None
    return _bundle_problem(f"{folder}/{bundle.ARTIFACT_FOLDER}", version.manifest_sha256, by_path, read)


def _bundle_problem(folder: str, sha256: str, by_path: dict[str, Artifact], read: Read) -> str | None:
    key = f"{folder}/{bundle.MANIFEST}"
    manifest = by_path.get(key)
    if manifest is None:
        return f"{key} is missing"
    if manifest.sha256 != sha256:
        return f"{key} is not the one that was registered"
    files = _bundle_files(read(manifest))
    if not files:
        return f"{key} names no files"
    for name, expected in files.items():
        file = by_path.get(f"{folder}/{name}")
        if file is None or (file.bytes, file.sha256) != expected:
            return f"{folder}/{name} is {'missing' if file is None else 'not the one that was registered'}"
    return None


def _bundle_files(manifest: bytes) -> dict[str, tuple[int, str]]:
    """Size and digest of the files that a bundle's manifest names; none if it is not such a manifest."""
    try:
        return {name: (entry["bytes"], entry["sha256"]) for name, entry in json.loads(manifest)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
