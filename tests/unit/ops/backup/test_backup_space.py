"""A backup pushes how much space its volume has left, whether it succeeds or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pushing import Pushgateway

from ops import metric_names
from ops.backup import job, run
from ops.backup.options import ArtifactsOptions
from ops.errors import OpsError


def test_the_space_is_that_of_the_volume(tmp_path: Path) -> None:
    figures = run.space(tmp_path)
    assert figures.keys() == {metric_names.BACKUP_FREE_BYTES, metric_names.BACKUP_VOLUME_BYTES}
    assert 0 < figures[metric_names.BACKUP_FREE_BYTES] <= figures[metric_names.BACKUP_VOLUME_BYTES]


def test_a_missing_folder_has_none(tmp_path: Path) -> None:
    assert run.space(tmp_path / "missing") == {}


def test_a_backup_that_fails_pushes_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "artifacts", tmp_path / "backups"
    for folder in (source, target):
        folder.mkdir()
    with Pushgateway() as gateway:
        monkeypatch.setenv(job.GATEWAY, gateway.url)
        with pytest.raises(OpsError, match="no dump that artifacts could be tied to"):
            job.backup(ArtifactsOptions(to=target, source=str(source)), lambda _: None)
        (pushed,) = gateway.pushes
    assert pushed.path == "/metrics/job/backup/kind/artifacts"
    assert pushed.samples[metric_names.BACKUP_SUCCESS, ()] == 0
    assert pushed.samples[metric_names.BACKUP_FREE_BYTES, ()] > 0
    assert pushed.samples[metric_names.BACKUP_VOLUME_BYTES, ()] > 0
