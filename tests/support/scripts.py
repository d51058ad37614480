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
