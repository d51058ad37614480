"""What the checks of `churn aws preflight` share: the stack, the clients they ask with, and the form of a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from infra.config import Settings
from ops.stack.doctor_checks import Finding, Level


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A stack on AWS, and clients of its account and region."""

    settings: Settings
    client: Callable[[str], Any]
    """Return the client of a service, by boto3's name for it."""


Check = Callable[[Asked], Iterator[Finding]]


def finding(check: str, level: Level, text: str, remedy: str = "") -> Finding:
    """Return one line."""
    return Finding(check=check, level=level, text=text, remedy=remedy)
