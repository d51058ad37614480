"""Calls kubectl as the user has it on PATH, without a shell."""

# ruff: noqa: S603 - kubectl, found on PATH
from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from ops.errors import OpsError


class CallError(Exception):
    """A call that failed; the message is the last line that kubectl printed, which says why."""


def require() -> None:
    """Check that there is a kubectl.

    Raises:
        OpsError: it is not installed.
    """
    if shutil.which("kubectl") is None:
        raise OpsError("kubectl is not installed: it is needed to reach the cluster")


def call(*words: str, context: str = "", stdin: str | None = None, seconds: float | None = None) -> str:
    """Return what kubectl prints.

    Args:
        words: its arguments.
        context: the context of its kubeconfig; the current one if empty.
        stdin: what it reads.
        seconds: how long it may take; as long as it likes if None.

    Raises:
        CallError: it fails, or takes too long.
    """
    command = ["kubectl", *(["--context", context] if context else []), *words]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=seconds)
    except subprocess.CalledProcessError as error:
        raise CallError((error.stderr.strip().splitlines() or ["no message"])[-1]) from None
    except subprocess.TimeoutExpired:
        raise CallError(f"no answer within {seconds} seconds") from None
    return done.stdout


def read(*words: str, context: str = "", seconds: float | None = None) -> dict[str, Any]:
    """Return what kubectl prints as JSON: an object, or a list with its `items`.

    Raises:
        CallError: it fails, takes too long, or prints something else.
    """
    try:
        printed: dict[str, Any] = json.loads(call(*words, "--output=json", context=context, seconds=seconds))
    except ValueError:
        raise CallError("kubectl printed no JSON") from None
    return printed
