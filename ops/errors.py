"""Failures that an operator can act on."""

from __future__ import annotations

from typing import Final

BAD_INPUT: Final = 2
"""Exit code of a pod's program for what only a person can put right: its job is not tried again."""


class OpsError(Exception):
    """Something the operator can put right; the message is one line that says what and how."""


class TemporaryError(OpsError):
    """The same, but it may pass by itself: worth another try."""
