"""How a program ends when its pod is stopped."""

from __future__ import annotations

import signal
from typing import Never


def exit_on_sigterm() -> None:
    """End in order when the process is asked to stop: temporary files are removed, and the outcome is pushed.

    Without a handler, PID 1 of a container would ignore the signal.
    """
    signal.signal(signal.SIGTERM, _exit)


def _exit(signal_number: int, _frame: object) -> Never:
    raise SystemExit(128 + signal_number)
