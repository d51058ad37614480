"""The format of a backup: what its manifest says, and the tree of an artifact backup.

A root (a folder or a bucket) holds::

    postgres/<id>/manifest.json    and the files it names: a dump of each database, the roles
    artifacts/<id>/manifest.json   and tree.jsonl: path, size and sha256 of every artifact
    objects/<2>/<sha256>           the artifacts' contents, each once, shared by all artifact backups

The manifest is the last file of a backup to become visible, and carries size and sha256 of every other; the tree does
the same for the objects. A backup's place among the others is its ``sequence``, which
only grows, whatever a clock does.

A manifest of an older format that this program no longer reads, or of a newer one, is refused by name. Each format ever
written has a fixture in ``tests/fixtures/backups`` that must restore.
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
"""Of the backups that are written; raise it with any change that an older reader would get wrong."""
MANIFEST: Final = "manifest.json"
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
    """A manifest or tree that cannot be believed; the message says why."""


class Frozen(BaseModel):
    """What is written once and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Digest(Frozen):
    """Size in bytes and sha256 of a file."""

    bytes: Size
    sha256: Sha256


class Sequence(Frozen):
    """A sequence of a database, as it stood before the dump began: the dump's own value is this or later."""

    last_value: int | None


class Database(Frozen):
    """One dumped database, as its snapshot saw it."""

    name: str
    owner: str
    encoding: str
    collate: str
    grants: dict[str, list[str]]
    """Rights to the database itself by role, which the dump does not carry; "" is everybody."""
    file: FileName
    revisions: dict[str, str]
    """Alembic's revision by the table that keeps it."""
    rows: dict[str, Size]
    """Exact count of each table's rows."""
    sequences: dict[str, Sequence]


class Version(Frozen):
    """A registered model version of the dump, and where its artifacts are within the artifact store."""

    model: str
    version: int
    aliases: list[str]
    location: str
    """As MLflow has it, ``mlflow-artifacts:/...``."""
    manifest_sha256: str | None
    """Of the servable bundle, where the version has one."""


class Common(Frozen):
    """What every manifest says."""

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
    """By the server's clock: what was committed later is not in it."""
    one_instant: bool
    """Whether all databases are as of the very same instant; otherwise each is consistent in itself, and they are
    milliseconds apart."""
    server_version: str
    client_version: str
    databases: list[Database]
    versions: list[Version]


class Tie(Frozen):
    """The dump that an artifact backup goes with."""

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
    """A manifest of any format that this program reads.

    Raises:
        ManifestError: it is none, or of a format that is not read here.
    """
    try:
        found = json.loads(data)
        version = found["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ManifestError(f"{where}: no manifest of a backup") from None
    if type(version) is not int or version != FORMAT:
        raise ManifestError(
            f"{where}: format {version!r}, and this program reads {FORMAT}: use the release that wrote it"
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

    ``seen`` tells whether the file was changed since (its times and number on a disk, its tag in a bucket), so that an
    unchanged one need not be read again.
    """

    path: str
    bytes: int
    sha256: str
    seen: str

    @property
    def key(self) -> str:
        return object_key(self.sha256)


def object_key(sha256: str) -> str:
    """Where the content with this digest is kept below a root."""
    return f"{OBJECTS}/{sha256[:2]}/{sha256}"


class _Line(Frozen):
    path: Annotated[str, Field(min_length=1)]
    bytes: Size
    sha256: Sha256
    seen: str


def write_tree(path: Path, artifacts: Iterable[Artifact]) -> None:
    """One line of JSON for each artifact."""
    with path.open("w", encoding="utf-8") as file:
        for artifact in artifacts:
            file.write(json.dumps(vars(artifact), sort_keys=True) + "\n")


def read_tree(lines: Iterable[bytes], where: str) -> Iterator[Artifact]:
    """The artifacts of a tree.

    Raises:
        ManifestError: a line that is none, or a path that leads out of the store.
    """
    for number, line in enumerate(lines, start=1):
        try:
            found = _Line.model_validate_json(line)
        except ValidationError:
            raise ManifestError(f"{where}, line {number}: no artifact") from None
        if not is_inside(found.path):
            raise ManifestError(f"{where}, line {number}: {found.path!r} is no path within the store")
        yield Artifact(path=found.path, bytes=found.bytes, sha256=found.sha256, seen=found.seen)


def is_inside(path: str) -> bool:
    """Whether a relative path stays below its folder."""
    return "\0" not in path and all(part not in {"", ".", ".."} for part in path.split("/"))


def new_id(now: datetime, token: str) -> str:
    """Name of a backup that begins now: the time for people, and six random hex digits."""
    return f"{now:%Y%m%dT%H%M%SZ}-{token}"


def digest(path: Path) -> Digest:
    """Size and sha256 of a file of any size."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
        return Digest(bytes=file.tell(), sha256=found.hexdigest())
