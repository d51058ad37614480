"""Prints the output of commands: text for people, JSON for programs, plain lines without a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.progress import Stages, counted, waiting


class UnfinishedError(Exception):
    """A command failed after it had produced a result; its cause says why."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.result = dict(result)
        super().__init__("failed after it had produced a result")


class Output:
    """Prints one command's output. With ``as_json``, standard output has only the JSON result; text goes to stderr."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        # With soft wrapping, lines that somebody copies or greps are never broken.
        self._console = Console(stderr=as_json, soft_wrap=True, highlight=False, markup=False, emoji=False)

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal

    def say(self, text: str = "", style: str | None = None) -> None:
        """Print a line for people, without buffering."""
        self._console.print(text, style=style)
        self._console.file.flush()

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print names and values in two columns."""
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self._console.print(Text.assemble("  ", (name.ljust(width), "bold"), "  ", value))
        self._console.file.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; without a terminal, as lines of padded columns that are never cut."""
        if not self.is_terminal:
            widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
            for row in (columns, *rows):
                self._console.print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
            return
        table = Table(*columns)
        for row in rows:
            table.add_row(*row)
        self._console.print(table, soft_wrap=False)

    def result(self, data: Mapping[str, Any] | Sequence[Any], words: Callable[[], None]) -> None:
        """Print a command's result: ``data`` if the user asked for JSON, else by calling ``words``."""
        if self.as_json:
            print_json(data)
        else:
            words()

    @contextmanager
    def stages(self) -> Iterator[Callable[[str, str], None]]:
        """Show the stages of a long command; yields a function to call with a stage's name and detail when it begins.

        On a terminal a spinner runs beside the current stage; elsewhere a line is printed when a stage ends.
        """
        stages = Stages(self._console)
        with stages.display:
            yield stages.begin
            stages.finish()

    def counted(self, name: str) -> AbstractContextManager[Callable[[int, float], None]]:
        """Show the progress of a step over rows; see :func:`ops.progress.counted`."""
        return counted(self._console, name)

    def waiting(self, text: str) -> AbstractContextManager[None]:
        """Show what the command is waiting for; see :func:`ops.progress.waiting`."""
        return waiting(text, self._console)

    @contextmanager
    def result_even_if_it_fails(self, data: Mapping[str, Any], words: Callable[[], None]) -> Iterator[None]:
        """Print a result that stays valid even if the rest of the command fails.

        Text is printed at once. JSON is printed once, at the end, so that it can include an error.

        Raises:
            UnfinishedError: in place of any error, with the result, for :func:`ops.cli.failures.tell`.
        """
        if not self.as_json:
            words()
            yield
            return
        try:
            yield
        except Exception as error:
            raise UnfinishedError(data) from error
        self.result(data, words)


def print_json(data: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write one JSON document, on one line, to standard output."""
    sys.stdout.write(json.dumps(data, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def warn(message: str) -> None:
    """Print a warning on stderr, while the command continues."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False).print(
        Text.assemble(("Warning: ", "bold yellow"), message)
    )


def print_error(message: str) -> None:
    """Print on stderr why a command failed; the first line is the reason."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False).print(
        Text.assemble(("Error: ", "bold red"), message)
    )
