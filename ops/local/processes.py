"""Starts and ends the processes of the embedded platform; none of them outlives the process that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from ops.errors import TemporaryError
from ops.local import watchdog

POLL_SECONDS: Final = 0.1
TAIL_LINES: Final = 15


class ServiceDiedError(TemporaryError):
    """A server ended by itself; the message names it and contains the end of its log."""


@dataclass(frozen=True)
class Service:
    """One running server and the file its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log file; nothing if there is no such file."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


class ProcessGroup:
    """Servers that live and end together, in one process group led by a watchdog.

    They share a group so that grandchildren (MLflow starts uvicorn) end with their parents. It is not the terminal's
    group, so that Ctrl-C reaches only this process, which then ends the others in order. ``grace_seconds`` is how long
    a server may take to end by itself.
    """

    def __init__(self, log_folder: Path, *, grace_seconds: float = 5) -> None:
        self._log_folder = log_folder
        self._grace = grace_seconds
        self._services: list[Service] = []
        self._children: list[subprocess.Popen[bytes]] = []
        # Isolated and without site-packages: ready in a few milliseconds, whatever the environment holds.
        self._watchdog = subprocess.Popen(  # noqa: S603 - our own file with our own interpreter
            [sys.executable, "-I", "-S", watchdog.__file__, str(grace_seconds)],
            stdin=subprocess.PIPE,
            process_group=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Service:
        """Start a server; its output goes to ``<log folder>/<name>.log``."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        log = self._log_folder / f"{name}.log"
        with log.open("wb") as output:
            process = self._spawn(command, env, output)
        service = Service(name, process, log)
        self._services.append(service)
        return service

    def run(self, command: Sequence[str], env: Mapping[str, str], *, stdout: IO[bytes] | int | None = None) -> int:
        """Run a command to its end, on this terminal, while the servers are watched; returns its exit code."""
        process = self._spawn(command, env, stdout)
        self.wait(lambda: process.poll() is not None)
        return process.returncode

    def _spawn(
        self, command: Sequence[str], env: Mapping[str, str], output: IO[bytes] | int | None
    ) -> subprocess.Popen[bytes]:
        to_log = output is not None and not isinstance(output, int)
        process = subprocess.Popen(  # noqa: S603 - commands of this package, without a shell
            list(command),
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if to_log else None,
            process_group=self._watchdog.pid,
        )
        self._children.append(process)
        return process

    def check(self) -> None:
        """Raise :class:`ServiceDiedError` if a server, or the watchdog, has ended."""
        for service in self._services:
            if (code := service.process.poll()) is not None:
                how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
                tail = log_tail(service.log)
                raise ServiceDiedError(f"{service.name} ended {how}. The end of {service.log}:\n{tail or '(empty)'}")
        if self._watchdog.poll() is not None:
            raise ServiceDiedError("the watchdog of the servers was killed, so they are stopped as well")

    def wait(self, done: Callable[[], bool], *, timeout_seconds: float | None = None) -> bool:
        """Wait until ``done()``, watching the servers.

        Returns:
            False if it was not done in time.

        Raises:
            ServiceDiedError: a server ended meanwhile.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not done():
            self.check()
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def stop(self) -> None:
        """Ask every process of the group to end, and kill it after the grace time. May be called twice."""
        if self._watchdog.returncode is not None and all(c.returncode is not None for c in self._children):
            return
        _signal_group(self._watchdog.pid, signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        while time.monotonic() < deadline and any(child.poll() is None for child in self._children):
            time.sleep(POLL_SECONDS / 4)
        # Also ends the watchdog, and any grandchild that outlived its parent.
        _signal_group(self._watchdog.pid, signal.SIGKILL)
        for process in (*self._children, self._watchdog):
            process.wait()
        if self._watchdog.stdin:
            self._watchdog.stdin.close()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
