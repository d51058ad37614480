"""The benchmark of backups measures every step, here with little data, and writes its section of the document."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.backup_jobs import superuser
from support.postgres import Postgres

from benchmarks import backup

pytestmark = pytest.mark.service


def test_every_step_is_measured_and_the_section_has_a_verdict(tmp_path: Path) -> None:
    with Postgres() as server:
        measured, mebibytes = backup.measure_on(superuser(server), tmp_path, backup.SMOKE, rounds=2)
    assert [round_.keys() for round_ in measured] == [measured[0].keys()] * 2
    assert measured[0].keys() == {
        "plain database", "our dump", "our database restore", "plain artifacts", "our copy", "our artifacts restore",
    }  # fmt: skip
    section = backup.text(measured, backup.SMOKE, mebibytes)
    assert "20 files" in section
    assert "0.8 is\nmet." in section or "0.8 is\n**not met** by each." in section
    assert backup.put(f"before\n{backup.BEGIN}old\n{backup.END}after\n", section).startswith(f"before\n{backup.BEGIN}")
