"""Shows what a command is doing and how far it is: a bar or a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

LINE_SECONDS: Final = 10.0
"""Time between two lines of a long step, without a terminal."""
_MINUTE: Final = 60
_HOUR: Final = 3600
_doing: list[str] = []


def doing() -> str:
    """Return the current step, or the last one, for an error message; empty before the first step."""
    return _doing[-1] if _doing else ""


def note(step: str) -> None:
    """Remember the current step."""
    _doing[:] = [step]


@contextmanager
def waiting(text: str, console: Console | None = None) -> Iterator[None]:
    """Print what the command is waiting for, by default on stderr; on a terminal with a spinner and the time."""
    note(text)
    console = console or Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.print(f"{text} ...")
        console.file.flush()
        yield
        return
    shown = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=Console(stderr=console.stderr), transient=True,
    )  # fmt: skip
    with shown:
        shown.add_task(escape(text), total=None)
        yield


@contextmanager
def counted(
    console: Console, name: str, *, line_seconds: float = LINE_SECONDS
) -> Iterator[Callable[[int, float], None]]:
    """Show the progress of a step over rows; yields a function to call with the rows so far and their share (0 to 1).

    Rate and remaining time are averages over the whole step. Without a terminal, ``line_seconds`` pass between lines.
    """
    note(name)
    started = printed = time.monotonic()
    if not console.is_terminal:

        def line(rows: int, share: float) -> None:
            nonlocal printed
            now = time.monotonic()
            if now - printed >= line_seconds:
                printed = now
                console.print(f"{name}: {share:.0%}, {pace(rows, share, now - started)}")
                console.file.flush()

        yield line
        return
    shown = Progress(
        TextColumn("{task.description}", style="bold"), BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.fields[pace]}"),
        # A separate console: the soft wrapping that copied lines need would break the columns of a display.
        console=Console(stderr=console.stderr), expand=True, transient=True,
    )  # fmt: skip
    with shown:
        task = shown.add_task(escape(name), total=1.0, pace="")
        yield lambda rows, share: shown.update(
            task, completed=share, pace=pace(rows, share, time.monotonic() - started)
        )


def pace(rows: int, share: float, seconds: float) -> str:
    """Describe the rows so far, the rate, and the remaining time at that rate if there is one."""
    text = f"{rows:,} rows"
    if seconds > 0 and rows:
        text += f", {rows / seconds:,.0f} rows/s"
        if 0 < share < 1:
            text += f", {_clock(seconds * (1 - share) / share)} left"
    return text


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02d}"
    return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02d}:{whole % _MINUTE:02d}"


class Stages:
    """Shows the stages of a long command: a spinner beside the current one, or a line when one ends."""

    def __init__(self, console: Console) -> None:
        # A separate console, as for the bar.
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
        self._name = ""
        self._shown = ""
        self._task: TaskID | None = None
        self._started = self._printed = 0.0

    def begin(self, name: str, detail: str) -> None:
        """Show that a stage begins, or goes on with another detail if it is the current one."""
        note(f"{name} ({detail})")
        if self._task is not None and name == self._name:
            self._go_on(self._task, detail)
            return
        self.finish()
        self._name, self._shown = name, f"{name:<9} {detail}"
        self._started = self._printed = time.perf_counter()
        self._task = self.display.add_task(escape(name), total=1, detail=escape(detail))

    def _go_on(self, task: TaskID, detail: str) -> None:
        self._shown = f"{self._name:<9} {detail}"
        self.display.update(task, detail=escape(detail))
        if self.display.disable and (now := time.perf_counter()) - self._printed >= LINE_SECONDS:
            self._printed = now
            self._console.print(f"{self._shown} ...")
            self._console.file.flush()

    def finish(self) -> None:
        if self._task is None:
            return
        self.display.update(self._task, completed=1)
        if self.display.disable:
            self._console.print(f"{self._shown}: {time.perf_counter() - self._started:.1f} s")
            self._console.file.flush()
        self._task = None
