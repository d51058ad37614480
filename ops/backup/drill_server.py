"""A PostgreSQL server for one drill: in a folder of its own, reached through a socket, removed afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ops.backup.postgres_client import environment, run, tool
from ops.errors import OpsError

START_SECONDS: Final = 60
STOP_SECONDS: Final = 30
USER: Final = "postgres"
_OPTIONS: Final = {
    "listen_addresses": "",
    # None of its data has to survive a crash.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "maintenance_work_mem": "128MB",
    "max_connections": "20",
}


class ThrowawayServer:
    """A server that is started by a ``with`` block and removed at its end."""

    def __init__(self, scratch: Path) -> None:
        self._data = scratch / "pgdata"
        self._log = scratch / "postgres.log"
        # A socket's path may have 107 bytes, and that of the scratch folder might be too long.
        self._sockets = Path(tempfile.mkdtemp(prefix="churn-drill-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def conninfo(self) -> str:
        """The connection string for libpq."""
        return f"host={self._sockets} user={USER}"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _start(self) -> None:
        if os.geteuid() == 0:
            raise OpsError("PostgreSQL refuses to be run by root: run the drill as another user")
        shutil.rmtree(self._data, ignore_errors=True)
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync"]
        run("the throwaway server cannot be created", ["initdb", "--pgdata", str(self._data), *options])
        settings = _OPTIONS | {"unix_socket_directories": str(self._sockets)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a program of PostgreSQL, without a shell
                [tool("postgres"), "-D", str(self._data), *(f"--{key}={value}" for key, value in settings.items())],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = self._log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["it printed nothing"]
                raise OpsError(f"the throwaway server does not start: {last[0]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        done = subprocess.run(  # noqa: S603 - a program of PostgreSQL, without a shell
            [tool("pg_isready"), "-q", "-h", str(self._sockets), "-U", USER],
            env=environment(),
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode == 0

    def _remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.rmtree(self._sockets, ignore_errors=True)
