"""Programs that tests put on PATH."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def write_program(path: Path, text: str, *options: str) -> Path:
    """Write a program in Python that runs under this interpreter, with the interpreter's options.

    A shell starts it: the path of the interpreter may contain spaces, which a first line with `#!` cannot.
    """
    script = path.with_name(f"{path.name}.py")
    script.write_text(text, encoding="utf-8")
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, *options, str(script)])} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


class Scripted:
    """A program that answers as a test says, notes its calls, and refuses every call without an answer."""

    def __init__(self, folder: Path, name: str) -> None:
        """Take a folder on PATH and the name of the program, which is there after the first ``answers``."""
        self._program, self._log = folder / name, folder / f"calls-of-{name}"

    def answers(self, *answers: str) -> None:
        """Set the answers: each is a line of a shell `case` on all arguments, and the first that fits counts."""
        lines = "\n".join(f"  {answer} ;;" for answer in (*answers, '*) echo "unexpected: $*" >&2; exit 64'))
        script = f'#!/bin/sh\necho "$*" >> {shlex.quote(str(self._log))}\ncase "$*" in\n{lines}\nesac\n'
        self._program.write_text(script, encoding="utf-8")
        self._program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The arguments of each call so far."""
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
