"""The next start serves the verified copy on disk, and never a damaged one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.damage import cut, flip_byte
from support.fake_mlflow import FakeMlflow
from support.process import Process

from app.bundle import GOLDEN, MANIFEST, MODEL
from app.routes.health import report

pytestmark = pytest.mark.anyio


async def test_a_restart_serves_the_local_copy_without_the_registry(process: Process, mlflow: FakeMlflow) -> None:
    mlflow.alias = "2"
    await process.follower.refresh()
    mlflow.fail()
    again = Process(mlflow, process.disk)
    await again.follower.start()
    assert again.live == ("2", "cache")
    await again.follower.refresh()
    state = report(again.service)
    assert (state.status, state.model_source, state.registry.reachable) == ("ready", "cache", False)
    info = {
        "model": "churn",
        "version": "2",
        "model_type": "logistic_regression",
        "source": "cache",
        "contract": "telco",
    }
    assert again.service.metrics.registry.get_sample_value("churn_model_info", info) == 1
    assert again.service.default.current.model.origin.alias == "production"


async def test_a_good_local_copy_is_not_downloaded_again(process: Process, mlflow: FakeMlflow) -> None:
    await process.follower.refresh()
    mlflow.requests.clear()
    again = Process(mlflow, process.disk)
    await again.follower.start()
    await again.follower.refresh()
    assert mlflow.downloads == []
    assert again.live == ("1", "cache")


@pytest.mark.parametrize("name", [MODEL, MANIFEST, GOLDEN])
@pytest.mark.parametrize("damage", [flip_byte, cut, Path.unlink])
async def test_a_damaged_local_copy_is_refused_and_replaced(
    process: Process, mlflow: FakeMlflow, name: str, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await process.follower.refresh()
    (copy,) = (p for p in process.cache.iterdir() if p.is_dir())
    damage(copy / name)
    again = Process(mlflow, process.disk)
    await again.follower.start()
    assert again.live is None
    assert f"the local copy of model churn is refused: {name}: " in caplog.text
    await again.follower.refresh()
    assert again.live == ("1", "registry")
    third = Process(mlflow, process.disk)
    await third.follower.start()
    assert third.live == ("1", "cache")


@pytest.mark.parametrize(
    "pointer",
    [b"", b"{}", b'{"version": "../../etc", "manifest_sha256": "' + b"a" * 64 + b'"}',
     b'{"version": "9", "manifest_sha256": "' + b"a" * 64 + b'"}'],
)  # fmt: skip
async def test_a_damaged_pointer_is_refused(process: Process, mlflow: FakeMlflow, pointer: bytes) -> None:
    await process.follower.refresh()
    (process.cache / "current.json").write_bytes(pointer)
    again = Process(mlflow, process.disk)
    await again.follower.start()
    assert again.live is None
    await again.follower.refresh()
    assert again.live == ("1", "registry")


async def test_two_copies_are_kept(process: Process, mlflow: FakeMlflow) -> None:
    for version in ("3", "4", "5"):
        mlflow.versions[version] = mlflow.versions["1"]
    for version in ("1", "2", "3", "4", "5"):
        mlflow.alias = version
        await process.follower.refresh()
    assert process.copies == {"4", "5"}
    assert json.loads((process.cache / "current.json").read_bytes())["version"] == "5"
    assert {p.name for p in process.cache.iterdir() if p.is_file()} == {"current.json"}


async def test_a_cache_that_cannot_be_written_does_not_prevent_serving(
    mlflow: FakeMlflow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    process = Process(mlflow, tmp_path / "file")
    await process.follower.start()
    await process.follower.refresh()
    assert process.live == ("1", "registry")
    assert "no local copy could be kept" in caplog.text
    assert report(process.service).registry.reachable is True
    mlflow.alias = "2"
    await process.follower.refresh()
    assert process.live == ("2", "registry")


async def test_an_interrupted_download_does_no_harm(process: Process, mlflow: FakeMlflow) -> None:
    leftover = process.cache / ".download-left"
    leftover.mkdir(parents=True)
    (leftover / MODEL).write_bytes(b"half")
    for version in ("1", "2"):
        mlflow.alias = version
        await process.follower.refresh()
    assert process.live == ("2", "registry")
    again = Process(mlflow, process.disk)
    await again.follower.start()
    assert again.live == ("2", "cache")
