"""The format of a backup: its manifest, and the tree of an artifact backup.

A root (a folder or a bucket) holds::

    postgres/<id>/manifest.json    and the files it names: a dump of each database, the roles
    artifacts/<id>/manifest.json   and tree.jsonl: path, size and sha256 of every artifact
    objects/<2>/<sha256>           the artifacts' contents, each once, shared by all artifact backups

The manifest is the last file of a backup to become visible, and has size and sha256 of every other file; the tree has
those of the objects. Backups are ordered by their ``sequence``, which only grows, whatever a clock does.

A manifest of a newer format, or of an older one that is no longer read, is refused with the number of its format. Each
format that was ever written has a fixture in ``tests/fixtures/backups`` that must restore.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ops.errors import OpsError

FORMAT: Final = 1
"""The format that is written; increase it with any change that an older reader would misunderstand."""
MANIFEST: Final = "manifest.json"
"""Of a backup; that a servable model's manifest has the same name is a coincidence."""
TREE: Final = "tree.jsonl"
ROLES: Final = "roles.sql"
OBJECTS: Final = "objects"
POSTGRES: Final = "postgres"
ARTIFACTS: Final = "artifacts"
Kind = Literal["postgres", "artifacts"]
KINDS: Final[tuple[Kind, ...]] = ("postgres", "artifacts")
MAX_MANIFEST_BYTES: Final = 64 * 1024 * 1024
CHUNK: Final = 256 * 1024

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
BackupId = Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{6}$")]
Size = Annotated[int, Field(ge=0)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$")]


class ManifestError(OpsError):
    """A manifest or tree that cannot be trusted; the message says why."""


class Frozen(BaseModel):
    """A part of a manifest, which is written once and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Digest(Frozen):
    """Size in bytes and sha256 of a file."""

    bytes: Size
    sha256: Sha256


class Sequence(Frozen):
    """A database's sequence just before the dump began; the value in the dump is this or a later one."""

    last_value: int | None


class Database(Frozen):
    """One dumped database, as it was in the dump's snapshot."""

    name: str
    owner: str
    encoding: str
    collate: str
    grants: dict[str, list[str]]
    """Rights to the database itself by role, which the dump does not include; the role "" is everybody."""
    file: FileName
    revisions: dict[str, str]
    """Alembic's revision by the table that holds it."""
    rows: dict[str, Size]
    """Exact number of rows of each table."""
    sequences: dict[str, Sequence]


class Version(Frozen):
    """A registered model version of the dump, and where its artifacts are within the artifact store."""

    model: str
    version: int
    aliases: list[str]
    location: str
    """As MLflow stores it: ``mlflow-artifacts:/...``."""
    manifest_sha256: str | None
    """Digest of the servable bundle's manifest; None for a version without a bundle."""


class Common(Frozen):
    """What is in every manifest."""

    format: Literal[1] = FORMAT
    id: BackupId
    sequence: Annotated[int, Field(ge=1)]
    complete: Literal[True] = True
    started_at: AwareDatetime
    finished_at: AwareDatetime
    files: dict[FileName, Digest]


class PostgresManifest(Common):
    """A set of dumps."""

    kind: Literal["postgres"] = "postgres"
    snapshot_at: AwareDatetime
    """By the server's clock; what was committed later is not in the dump."""
    one_instant: bool
    """Whether all databases are as they were at the same instant. If not, each is consistent in itself, and they are
    milliseconds apart."""
    server_version: str
    client_version: str
    databases: list[Database]
    versions: list[Version]


class Tie(Frozen):
    """The dump that an artifact backup belongs to."""

    id: BackupId
    manifest_sha256: Sha256


class Broken(Frozen):
    """A registered version whose artifacts were not all there when they were copied."""

    model: str
    version: int
    why: str


class ArtifactsManifest(Common):
    """A tree of artifacts and its tie to a dump."""

    kind: Literal["artifacts"] = "artifacts"
    source: str
    count: Size
    bytes: Size
    new_count: Size
    new_bytes: Size
    database: Tie
    broken: list[Broken]


Manifest = PostgresManifest | ArtifactsManifest
_ANY: Final[TypeAdapter[Manifest]] = TypeAdapter(Annotated[Manifest, Field(discriminator="kind")])


def parse(data: bytes, where: str) -> Manifest:
    """Parse a manifest of any format that is still read.

    Raises:
        ManifestError: it is not a manifest, or has another format.
    """
    try:
        version = json.loads(data)["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ManifestError(f"{where}: not the manifest of a backup") from None
    if type(version) is not int or version != FORMAT:
        raise ManifestError(
            f"{where}: has format {version!r}, and this release reads {FORMAT}: use the release that wrote it"
        )
    try:
        return _ANY.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ManifestError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def render(manifest: Manifest) -> bytes:
    """The bytes of a manifest, the same for the same content."""
    return json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True).encode() + b"\n"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file of an artifact store.

    ``seen`` is the state of the storage's item when it was copied, so that an unchanged file need not be read again.
    """

    path: str
    bytes: int
    sha256: str
    seen: str

    @property
    def key(self) -> str:
        return object_key(self.sha256)


def object_key(sha256: str) -> str:
    """The key of the content with this digest."""
    return f"{OBJECTS}/{sha256[:2]}/{sha256}"


class _Line(Frozen):
    path: Annotated[str, Field(min_length=1)]
    bytes: Size
    sha256: Sha256
    seen: str


def write_tree(path: Path, artifacts: Iterable[Artifact]) -> None:
    """Write a tree: one line of JSON for each artifact."""
    with path.open("w", encoding="utf-8") as file:
        for artifact in artifacts:
            file.write(json.dumps(vars(artifact), sort_keys=True) + "\n")


def read_tree(lines: Iterable[bytes], where: str) -> Iterator[Artifact]:
    """Read the artifacts of a tree.

    Raises:
        ManifestError: a line is not an artifact, or has a path that leads out of the artifact store.
    """
    for number, line in enumerate(lines, start=1):
        try:
            artifact = _Line.model_validate_json(line)
        except ValidationError:
            raise ManifestError(f"{where}, line {number}: not an artifact") from None
        if not is_inside(artifact.path):
            raise ManifestError(f"{where}, line {number}: {artifact.path!r} is not a path within the store")
        yield Artifact(path=artifact.path, bytes=artifact.bytes, sha256=artifact.sha256, seen=artifact.seen)


def is_inside(path: str) -> bool:
    """Whether a relative path stays below its folder."""
    return "\0" not in path and all(part not in {"", ".", ".."} for part in path.split("/"))


def new_id(now: datetime, token: str) -> str:
    """The id of a backup that begins now: the time, for people, and six random hex digits."""
    return f"{now:%Y%m%dT%H%M%SZ}-{token}"


def digest(path: Path) -> Digest:
    """Size and sha256 of a file of any size."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Digest(bytes=file.tell(), sha256=sha256)
