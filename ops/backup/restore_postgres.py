"""Restores dumped databases and roles into a server.

Each database is restored under a temporary name, compared with the manifest, and only then put in place by renaming. A
failure before that leaves the server as it was, except that missing roles may have been created.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from collections.abc import Sequence as Many
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.backup.catalog import key_of
from ops.backup.manifest import ROLES, Database, PostgresManifest
from ops.backup.postgres import revisions, row_counts, sequences
from ops.backup.postgres_client import Session, conninfo, identifier, literal, major, run
from ops.backup.storage.base import Storage
from ops.errors import OpsError

JOBS: Final = 2
MAINTENANCE: Final = "postgres"
"""The database to connect to while others are created and renamed."""
_NAME: Final = r'("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_STATEMENT: Final = re.compile(rf"^(CREATE ROLE|ALTER ROLE|GRANT) {_NAME}(?: TO {_NAME})?(.*);$")
_SUPERUSER_ONLY: Final = re.compile(r" (NOSUPERUSER|NOREPLICATION|NOBYPASSRLS)\b| GRANTED BY .*$")
"""Clauses that only a superuser may use, and that state the default."""
_PLATFORM: Final = ("rds", "pg_")
"""How the names of roles begin that a server has by itself."""
_RIGHTS: Final = frozenset({"CREATE", "CONNECT", "TEMPORARY"})


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server, and whether databases with content may be replaced."""

    server: str
    replace: bool = False


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A restored database, and the present name of the one that it replaced."""

    database: Database
    before: str | None


def check_target(target: Target, manifest: PostgresManifest) -> None:
    """Refuse a server that the backup must not be restored into.

    Raises:
        OpsError: it is older than the dumped one, or one of its databases is neither empty nor to be replaced.
    """
    with Session(target.server, MAINTENANCE) as session:
        version = session.run("SHOW server_version;")
        if major(version) < major(manifest.server_version):
            raise OpsError(
                f"the server has PostgreSQL {version}, older than the {manifest.server_version} of the backup"
            )
        present = _present(session)
    for database in manifest.databases:
        if database.name in present and not target.replace and (count := _tables(target, database.name)):
            raise OpsError(
                f"database {database.name} of the target has {count} tables: nothing was changed; "
                "use --replace to put the backup in its place (the old one stays under another name)"
            )


def restore(target: Target, storage: Storage, manifest: PostgresManifest, scratch: Path) -> list[Restored]:
    """Restore every database of a verified backup; returns what is in place now.

    Raises:
        OpsError: the server refuses, or what was restored is not what was dumped; nothing was put in place.
    """
    with Session(target.server, MAINTENANCE) as session, ExitStack() as undo:
        _create_roles(session, storage.read(key_of(manifest, ROLES), manifest.files[ROLES].bytes).decode())
        names = {}
        for database in manifest.databases:
            name = names[database.name] = f"{database.name}_restoring_{manifest.id[-6:]}"
            _drop(session, name)
            undo.callback(_drop_quietly, target, name)
            _create(session, database, name)
            with storage.local(key_of(manifest, database.file), scratch) as dump:
                _fill(target, database, name, dump)
        for database in manifest.databases:
            compare(target.server, names[database.name], database)
        restored = _swap(session, manifest.databases, names)
        undo.pop_all()
    return restored


def compare(server: str, name: str, expected: Database) -> None:
    """Compare a restored database with what was recorded when it was dumped.

    Raises:
        OpsError: rows, revisions or sequences differ; it names every difference.
    """
    with Session(server, name) as session:
        rows, versions, values = row_counts(session), revisions(session), sequences(session)
    wrong = [
        f"{table} has {rows.get(table, 'no')} rows, not {expected.rows.get(table, 'any')}"
        for table in sorted(rows.keys() | expected.rows.keys())
        if rows.get(table) != expected.rows.get(table)
    ]
    if versions != expected.revisions:
        wrong.append(f"its revisions are {versions}, not {expected.revisions}")
    for sequence, value in sorted(expected.sequences.items()):
        actual = values.get(sequence)
        if actual is None or (actual.last_value or 0) < (value.last_value or 0):
            wrong.append(f"sequence {sequence} is behind")
    if wrong:
        raise OpsError(f"database {expected.name} is not as it was dumped: {'; '.join(wrong)}")


def _present(session: Session) -> set[str]:
    return {row["datname"] for row in session.rows("SELECT datname FROM pg_database")}


def _tables(target: Target, name: str) -> int:
    with Session(target.server, name) as session:
        return len(row_counts(session))


def role_statements(roles: str) -> Iterator[str]:
    """The statements that create missing roles and their memberships, from a dump of roles.

    Superusers and the server's own roles are left out.
    """
    matches = [match for line in roles.splitlines() if (match := _STATEMENT.match(line))]
    skipped = {match[2] for match in matches if match[1] == "ALTER ROLE" and " SUPERUSER" in match[4]}
    for match in matches:
        form, name, to, rest = match.groups()
        plain = name.strip('"')
        if form == "GRANT":
            if to and to not in skipped and not plain.startswith("rds") and not to.strip('"').startswith(_PLATFORM):
                yield f"GRANT {name} TO {to};"
            continue
        if name in skipped or plain.startswith(_PLATFORM):
            continue
        if form == "CREATE ROLE":
            missing = (
                f"NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(plain.replace(chr(34) * 2, chr(34)))})"
            )
            yield f"SELECT {literal(f'CREATE ROLE {name}')} WHERE {missing} \\gexec"
        else:
            yield f"ALTER ROLE {name}{_SUPERUSER_ONLY.sub('', rest)};"


def _create_roles(session: Session, roles: str) -> None:
    for statement in role_statements(roles):
        session.run(statement)


def _create(session: Session, database: Database, name: str) -> None:
    quoted, owner = identifier(name), identifier(database.owner)
    # Only a role's members may give it a database; a superuser is a member of every role. Since PostgreSQL 16, whoever
    # creates a role counts as a member but may not act as it yet (release notes of 16, on CREATEROLE), so whether
    # there is a membership says nothing: another grant of the same changes nothing.
    session.run(
        f"SELECT {literal(f'GRANT {owner} TO CURRENT_USER')} "  # noqa: S608 - quoted
        "WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \\gexec"
    )
    session.run(f"CREATE DATABASE {quoted} OWNER {owner} TEMPLATE template0 ENCODING {literal(database.encoding)};")
    session.run("".join(f"{statement}\n" for statement in _rights(quoted, database)))


def _fill(target: Target, database: Database, name: str, dump: Path) -> None:
    # Not in one transaction, so that two tables are filled at a time: an incomplete database is dropped anyway.
    command = ["pg_restore", "--exit-on-error", f"--jobs={JOBS}", "--no-password"]
    what = f"database {database.name} cannot be restored"
    run(what, [*command, f"--dbname={conninfo(target.server, name)}", str(dump)])


def _rights(quoted: str, database: Database) -> Iterator[str]:
    yield f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC;"
    for role, rights in sorted(database.grants.items()):
        granted = ", ".join(right for right in rights if right in _RIGHTS)
        if granted and role != database.owner:
            yield f"GRANT {granted} ON DATABASE {quoted} TO {identifier(role) if role else 'PUBLIC'};"


def _swap(session: Session, databases: Many[Database], names: dict[str, str]) -> list[Restored]:
    """Put all restored databases in their places at once, or none of them."""
    present, mark = _present(session), secrets.token_hex(3)
    old_names = {database.name: f"{database.name}_before_{mark}" for database in databases if database.name in present}
    aside = [f"ALTER DATABASE {identifier(name)} RENAME TO {identifier(new)};" for name, new in old_names.items()]
    placed = [f"ALTER DATABASE {identifier(names[d.name])} RENAME TO {identifier(d.name)};" for d in databases]
    try:
        for name in old_names:
            # A database can be renamed only while nobody is connected, so nobody may connect in between.
            session.run(f"ALTER DATABASE {identifier(name)} WITH ALLOW_CONNECTIONS false;")
            others = f"datname = {literal(name)} AND pid <> pg_backend_pid()"
            session.run(f"SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE {others};")  # noqa: S608 - quoted
        session.run(" ".join(["BEGIN;", *aside, *placed, "COMMIT;"]))
    except OpsError:
        with Session(session.target, MAINTENANCE) as again:
            for name in old_names:
                again.run(f"ALTER DATABASE {identifier(name)} WITH ALLOW_CONNECTIONS true;")
        raise
    return [Restored(database=database, before=old_names.get(database.name)) for database in databases]


def _drop(session: Session, name: str) -> None:
    session.run(f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE);")


def _drop_quietly(target: Target, name: str) -> None:
    """Remove an incomplete database after a failure, which is the one to be reported."""
    try:
        with Session(target.server, MAINTENANCE) as session:
            _drop(session, name)
    except OpsError:
        return
