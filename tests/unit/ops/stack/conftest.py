"""The desk at which most of these tests call `churn cluster`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch, "docker", "kind", "kubectl", "pulumi")
