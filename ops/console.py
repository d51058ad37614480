"""What the commands print: words for people, JSON for machines, plain text where there is no terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text


class Output:
    """One command's output. With ``as_json``, standard output holds the JSON result only and words go to stderr."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        # Soft wrap: a line that somebody copies or greps is never cut by us.
        self._console = Console(stderr=as_json, soft_wrap=True, highlight=False, markup=False, emoji=False)

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal

    def say(self, text: str = "", style: str | None = None) -> None:
        """Print a line for people, at once."""
        self._console.print(text, style=style)
        self._console.file.flush()

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print names and values in two columns."""
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self._console.print(Text.assemble("  ", (name.ljust(width), "bold"), "  ", value))
        self._console.file.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; without a terminal, lines of padded columns that are never cut."""
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
        """Print a command's result: ``data`` as JSON if it was asked for, else ``words()``."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, default=str, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            words()

    @contextmanager
    def stages(self) -> Iterator[Callable[[str, str], None]]:
        """Show the stages of a long command; the value is called with a stage's name and detail as it begins.

        On a terminal a spinner runs beside the current stage; elsewhere a line is printed as each stage ends.
        """
        stages = _Stages(self._console)
        with stages.display:
            yield stages.begin
            stages.finish()


class _Stages:
    def __init__(self, console: Console) -> None:
        # A console of its own: with soft wrapping, which lines to copy need, a display loses its columns.
        self.display = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", style="bold"),
            TextColumn("{task.fields[detail]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
            TimeElapsedColumn(),
            console=Console(stderr=console.stderr),
            expand=True,
            disable=not console.is_terminal,
        )
        self._console = console
        self._shown = ""
        self._task: TaskID | None = None
        self._started = 0.0

    def begin(self, name: str, detail: str) -> None:
        self.finish()
        self._shown, self._started = f"{name:<9} {detail}", time.perf_counter()
        self._task = self.display.add_task(escape(name), total=1, detail=escape(detail))

    def finish(self) -> None:
        if self._task is None:
            return
        self.display.update(self._task, completed=1)
        if self.display.disable:
            self._console.print(f"{self._shown}: {time.perf_counter() - self._started:.1f} s")
            self._console.file.flush()
        self._task = None


def print_error(message: str) -> None:
    """Say on stderr why a command failed; the first line is the reason."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False).print(
        Text.assemble(("Error: ", "bold red"), message)
    )
