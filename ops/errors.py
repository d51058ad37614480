"""Failures that an operator can act on."""

from __future__ import annotations


class OpsError(Exception):
    """Something the operator can put right; the message is one line that says what and how."""
