"""Dumps databases and roles as one set, as they were at one instant, with figures that a restore is compared with.

A snapshot belongs to one database, so each database has its own. But transaction numbers belong to the whole server:
snapshots with the same numbers of finished and running transactions are of the same instant. They are taken again until
the numbers are equal.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from app.bundle import MANIFEST_TAG
from ops.backup.manifest import ROLES, Database, Digest, Sequence, Version, digest
from ops.backup.postgres_client import Session, check_readable, client_version, conninfo, literal, major, run
from ops.errors import OpsError

TRIES: Final = 100
COMPRESS: Final = 1
"""gzip's fastest level, which takes half the time of the default for a tenth more bytes."""
_SNAPSHOT: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_current_snapshot(), pg_export_snapshot();"
)

_TABLES: Final = """
SELECT format('%s.%s', n.nspname, c.relname) AS name, format('%I.%I', n.nspname, c.relname) AS quoted
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1"""
_SEQUENCES: Final = "SELECT schemaname || '.' || sequencename AS name, last_value FROM pg_sequences ORDER BY 1"
_ABOUT: Final = """
SELECT pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding, datcollate AS collate
FROM pg_database WHERE datname = current_database()"""
_GRANTS: Final = """
SELECT coalesce(r.rolname, '') AS role, json_agg(a.privilege_type ORDER BY a.privilege_type) AS rights
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
  LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.datname = current_database() AND (a.grantee = 0 OR r.oid IS NOT NULL) GROUP BY 1"""
_VERSIONS: Final = f"""
SELECT v.name AS model, v.version, coalesce(nullif(v.storage_location, ''), v.source) AS location,
  (SELECT t.value FROM model_version_tags t WHERE (t.name, t.version, t.key) = (v.name, v.version, '{MANIFEST_TAG}'))
    AS manifest_sha256,
  (SELECT coalesce(json_agg(a.alias ORDER BY a.alias), '[]') FROM registered_model_aliases a
    WHERE (a.name, a.version) = (v.name, v.version)) AS aliases
FROM model_versions v WHERE v.current_stage IS DISTINCT FROM 'Deleted_Internal' ORDER BY 1, 2"""  # noqa: S608 - ours


@dataclass(frozen=True, kw_only=True)
class Dumped:
    """What was dumped: fields of `PostgresManifest`."""

    snapshot_at: datetime
    one_instant: bool
    server_version: str
    client_version: str
    databases: list[Database]
    versions: list[Version]
    files: dict[str, Digest]


def dump(target: str, databases: Many[str], folder: Path) -> Dumped:
    """Dump the databases and the roles of a server into an empty folder.

    Raises:
        OpsError: the server refuses the login or a database; TemporaryError if it may pass.
    """
    with ExitStack() as stack:
        sessions = [stack.enter_context(Session(target, name)) for name in databases]
        _require_new_enough(sessions[0])
        names, one_instant = _snapshots(sessions)
        clock = sessions[0].rows("SELECT now() AS at, current_setting('server_version') AS version")[0]
        dumped = [
            _dump_one(session, target, name, snapshot, folder)
            for session, name, snapshot in zip(sessions, databases, names, strict=True)
        ]
        versions = [version for session in sessions for version in _versions(session)]
    roles = ["pg_dumpall", "--roles-only", "--no-role-passwords", "--no-password"]
    (folder / ROLES).write_text(
        run("the roles cannot be dumped", [*roles, f"--dbname={conninfo(target, databases[0])}"]), encoding="utf-8"
    )
    for database in dumped:
        check_readable(folder / database.file)
    return Dumped(
        snapshot_at=datetime.fromisoformat(clock["at"]),
        one_instant=one_instant,
        server_version=clock["version"],
        client_version=client_version(),
        databases=dumped,
        versions=versions,
        files={path.name: digest(path) for path in sorted(folder.iterdir())},
    )


def _require_new_enough(session: Session) -> None:
    """Refuse a server that pg_dump cannot read, in one line: pg_dump itself stops with three ("version mismatch").

    Raises:
        OpsError: the server is of a newer major.
    """
    server, client = session.run("SHOW server_version;"), client_version()
    if major(server) > major(client):
        raise OpsError(
            f"the server has PostgreSQL {server.split()[0]}, and pg_dump is {client}: it cannot dump a newer major. "
            f"Run the image ops of a release for PostgreSQL {major(server)}, or install postgresql-client-"
            f"{major(server)}; docs/dr.md has the upgrade's order"
        )


def _snapshots(sessions: Many[Session]) -> tuple[list[str], bool]:
    """A snapshot of each database, and whether all are of the same instant."""
    exported: list[str] = []
    for attempt in range(TRIES):
        if attempt:
            for session in sessions:
                session.run("ROLLBACK;")
        taken = [session.run(_SNAPSHOT).split("|") for session in sessions]
        exported = [name for _, name in taken]
        if len({seen for seen, _ in taken}) == 1:
            return exported, True
    return exported, False


def _dump_one(session: Session, target: str, name: str, snapshot: str, folder: Path) -> Database:
    file = f"{name}.dump"
    description = _describe(session, name, file)
    command = ["pg_dump", "--format=custom", f"--compress={COMPRESS}", f"--snapshot={snapshot}", "--no-password"]
    where = ["--lock-wait-timeout=60000", f"--file={folder / file}", f"--dbname={conninfo(target, name)}"]
    run(f"database {name} cannot be dumped", [*command, *where])
    return description


def _describe(session: Session, name: str, file: str) -> Database:
    about = session.rows(_ABOUT)[0]
    return Database(
        name=name,
        file=file,
        owner=about["owner"],
        encoding=about["encoding"],
        collate=about["collate"],
        grants={row["role"]: row["rights"] for row in session.rows(_GRANTS)},
        revisions=revisions(session),
        rows=row_counts(session),
        sequences=sequences(session),
    )


def row_counts(session: Session) -> dict[str, int]:
    """Exact number of rows of each table."""
    tables = session.rows(_TABLES)
    if not tables:
        return {}
    counts = " UNION ALL ".join(
        f"SELECT {literal(table['name'])} AS name, count(*) AS rows FROM {table['quoted']}"  # noqa: S608 - quoted
        for table in tables
    )
    return {row["name"]: row["rows"] for row in session.rows(counts)}


def sequences(session: Session) -> dict[str, Sequence]:
    """Each sequence's last value; None before the first."""
    return {row["name"]: Sequence(last_value=row["last_value"]) for row in session.rows(_SEQUENCES)}


def revisions(session: Session) -> dict[str, str]:
    """Alembic's revisions, by the table that holds each."""
    tables = [table for table in session.rows(_TABLES) if table["name"].split(".")[1].startswith("alembic_version")]
    revision_of: dict[str, str] = {}
    for table in tables:
        rows: list[dict[str, Any]] = session.rows(f"SELECT version_num FROM {table['quoted']}")  # noqa: S608 - quoted
        revision_of[table["name"].split(".")[1]] = ",".join(sorted(row["version_num"] for row in rows))
    return revision_of


def _versions(session: Session) -> list[Version]:
    if session.run("SELECT to_regclass('model_versions') IS NOT NULL;") != "t":
        return []
    return [Version.model_validate(row) for row in session.rows(_VERSIONS)]


def check_names(databases: Many[str]) -> None:
    """Refuse names of databases that are not safe as the name of a file.

    Raises:
        OpsError: it names the first of them.
    """
    for name in databases:
        if not name.replace("_", "").replace("-", "").isalnum() or name.startswith("-") or not name.isascii():
            raise OpsError(f"--database {name!r}: only letters, digits, '-' and '_' are allowed")
