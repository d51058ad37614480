"""The desk at which most of these tests call `churn cluster`, and an account of AWS for the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.aws_api import account
from support.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch, "docker", "kind", "kubectl", "pulumi")


@pytest.fixture
def session() -> Iterator[Any]:
    """A session of boto3 in an empty account."""
    with account("eu-central-1") as opened:
        yield opened
