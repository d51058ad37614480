"""Servers under measurement: pinned to a core, frozen while others are measured, and always stopped."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import psutil

from benchmarks.errors import BenchError
from benchmarks.machine import MIB

READY_TIMEOUT_SECONDS: Final = 90
_POLL_SECONDS: Final = 0.01
_GRACE_SECONDS: Final = 5
_TAIL_LINES: Final = 15
_OK: Final = 200


def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float = 10) -> tuple[int, bytes]:
    """POST a body to a server on this machine; returns status and answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request("POST", parts.path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Server:
    """One server with all its processes; a context manager that always stops them at the end."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], *, core: int, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._log = log
        self._started = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - commands of this package, without a shell
                ["taskset", "--cpu-list", str(core), *command],  # noqa: S607 - wherever util-linux is installed
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def wait_ready(self, url: str, body: bytes, headers: Mapping[str, str]) -> float:
        """Wait for the first correct answer to a POST of ``body``.

        Returns:
            Seconds from the start of the process.

        Raises:
            BenchError: the server ended, or took longer than READY_TIMEOUT_SECONDS; the message has the end of its log.
        """
        status = 0
        while (waited := time.monotonic() - self._started) < READY_TIMEOUT_SECONDS:
            if self._process.poll() is not None:
                raise BenchError(f"{self.name} ended with code {self._process.returncode}:\n{self._tail()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                status = post(url, body, headers)[0]
                if status == _OK:
                    return time.monotonic() - self._started
            time.sleep(_POLL_SECONDS)
        raise BenchError(
            f"{self.name} not ready after {waited:.0f} s (last status {status or 'none'}):\n{self._tail()}"
        )

    @property
    def pid(self) -> int:
        """Its process; `taskset` has become the server itself."""
        return self._process.pid

    def rss_mib(self) -> float:
        """Resident memory of all its processes together, in MiB; shared pages count once per process."""
        return sum(process.memory_info().rss for process in self._tree()) / MIB

    def processes(self) -> int:
        """Number of its processes."""
        return len(self._tree())

    def freeze(self) -> None:
        """Keep it from using the processor (SIGSTOP)."""
        self._each("suspend")

    def thaw(self) -> None:
        """Let it run again."""
        self._each("resume")

    @contextlib.contextmanager
    def thawed(self) -> Iterator[Self]:
        """Let it run for a while."""
        self.thaw()
        try:
            yield self
        finally:
            self.freeze()

    def stop(self) -> None:
        """End all its processes: terminate them, and kill them after a grace time. May be called twice."""
        self.thaw()
        tree = self._tree()
        if self._process.poll() is None:
            self._process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=_GRACE_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _each(self, action: str) -> None:
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                getattr(process, action)()

    def _tail(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])
