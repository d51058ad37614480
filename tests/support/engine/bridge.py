"""`pulumi` on PATH for the commands that call it: each call becomes an operation of the tests' engine on their project.

The official command line would need its Python host and real providers. What it would be told is checked all the same:
a call that no command is known to make is refused, and so is one without a
backend or a passphrase in its environment.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, Final

from support.engine.operations import Outcome
from support.engine.project import Project
from support.scripts import write_program
from support.shims.pulumi import BACKEND, PASSPHRASES, lacking

NAMES: Final = (BACKEND, *PASSPHRASES)
"""Variables without which Pulumi refuses."""
CLIENT: Final = """
import os
import sys
from multiprocessing.connection import Client

with Client({address!r}, "AF_UNIX") as engine:
    engine.send((sys.argv[1:], os.getcwd(), {{name: os.environ[name] for name in {names!r} if name in os.environ}}))
    code, printed = engine.recv()
sys.stdout.write(printed)
sys.exit(code)
"""


class Bridge:
    """A project that a program named `pulumi` acts on, with the settings of the folder that it is called in."""

    def __init__(self, project: Project[Any], folder: Path, *, changed: Callable[[], None] = lambda: None) -> None:
        """Take a project and a folder for the socket; ``changed`` is called after each operation on the cluster."""
        self.project = project
        self._changed = changed
        self.outcomes: list[Outcome] = []
        self._address = str(folder / "engine")

    @contextmanager
    def on_path(self, folder: Path) -> Iterator[None]:
        """Put the program into a folder and answer it."""
        write_program(folder / "pulumi", CLIENT.format(address=self._address, names=NAMES), "-I")
        with Listener(self._address, "AF_UNIX") as listener:
            thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
            thread.start()
            yield

    def _serve(self, listener: Listener) -> None:
        while True:
            try:
                connection = listener.accept()
            except OSError:  # closed at the end of the test
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        words, folder, environment = connection.recv()
        try:
            refusal = lacking(environment)
            connection.send((255, f"{refusal}\n") if refusal else self._perform(words, Path(folder)))
        except Exception as error:  # noqa: BLE001 - the caller must see it, or it waits for ever
            connection.send((255, f"{error}\n"))

    def _perform(self, words: list[str], folder: Path) -> tuple[int, str]:
        match words:
            case ["stack", "select", "--create", "dev"]:
                return 0, self.project.cli("stack", "select", "--create")
            case ["up" | "destroy" as operation, "--stack", "dev", "--yes"]:
                shutil.copy(folder / self.project.settings.name, self.project.settings)
                outcome = self.project.run(operation)
                self.outcomes.append(outcome)
                self._changed()
                return (0 if outcome.succeeded else 255), "\n".join([*outcome.errors, outcome.failure])
            case ["refresh", "--stack", "dev", "--yes", "--clear-pending-creates"]:
                return 0, self.project.cli("refresh", "--yes", "--clear-pending-creates")
            case ["stack", "output", "--stack", "dev", "--show-secrets", "--json"]:
                return 0, self.project.cli("stack", "output", "--show-secrets", "--json")
        return 255, f"error: the tests' engine does not know: {' '.join(words)}\n"
