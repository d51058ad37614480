"""The live model follows the alias, and no failure of the registry or of a bundle removes it."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import httpx
import pytest
from support.damage import cut, flip_byte, reseal
from support.fake_mlflow import FakeMlflow
from support.process import Process

from app import main
from app.bundle import GOLDEN, MANIFEST, MODEL, sha256
from app.main import create_app
from app.routes.health import report
from app.settings import Settings

pytestmark = pytest.mark.anyio


def _damaged(bundle: Path, folder: Path) -> Path:
    """A bundle with the registered digest that must still not be served."""
    shutil.copytree(bundle, folder)
    (folder / MODEL).write_bytes(b"no graph")
    reseal(folder)
    return folder


# ---------------------------------------------------------------- following


async def test_the_alias_is_followed_there_and_back(process: Process, mlflow: FakeMlflow) -> None:
    await process.follower.start()
    assert process.live is None
    for version in ("1", "2", "1"):
        mlflow.alias = version
        await process.follower.refresh()
        assert process.live == (version, "registry")
        model = process.service.default.current.model
        assert model.origin.alias == "production"
        assert model.fingerprint.hex() == sha256((mlflow.versions[version] / MANIFEST).read_bytes())
    assert process.value("churn_model_swaps_total") == 3
    assert process.value("churn_model_stale") == 0
    assert process.value("churn_registry_up") == 1


async def test_an_unchanged_alias_costs_one_look_up(process: Process, mlflow: FakeMlflow) -> None:
    await process.follower.refresh()
    first = process.service.default.current
    count = len(mlflow.downloads)
    for _ in range(3):
        await process.follower.refresh()
    assert process.service.default.current is first
    assert len(mlflow.downloads) == count


async def test_the_same_model_registered_again_gets_its_new_number(process: Process, mlflow: FakeMlflow) -> None:
    await process.follower.refresh()
    mlflow.versions["7"] = mlflow.versions["1"]
    mlflow.alias = "7"
    await process.follower.refresh()
    assert process.live == ("7", "registry")


async def test_requests_see_one_model_or_the_other_during_a_swap(process: Process, mlflow: FakeMlflow) -> None:
    await process.follower.refresh()
    before = process.service.default.current
    mlflow.alias = "2"
    task = asyncio.create_task(process.follower.refresh())
    seen = set()
    while not task.done():
        counters = process.service.default.current
        seen.add(counters.model.origin.version)
        assert counters is before or counters.model.origin.version == "2"
        await asyncio.sleep(0)
    assert seen <= {"1", "2"}
    assert process.live == ("2", "registry")


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("kind", ["digest", "graph", "missing", "untagged"])
async def test_a_refused_version_leaves_the_old_model_and_is_remembered(
    process: Process, mlflow: FakeMlflow, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    await process.follower.refresh()
    mlflow.versions["3"] = _damaged(mlflow.versions["2"], tmp_path / "spoiled")
    if kind == "digest":
        flip_byte(mlflow.versions["3"] / GOLDEN)
    elif kind == "missing":
        (mlflow.versions["3"] / MODEL).unlink()
    elif kind == "untagged":
        mlflow.tags["3"] = "none"
    mlflow.alias = "3"
    await process.follower.refresh()
    assert process.live == ("1", "registry")
    refused = report(process.service).registry.refused
    assert refused is not None
    assert refused.startswith("version 3: ")
    assert str(tmp_path) not in refused
    assert process.value("churn_model_refused_total") == 1
    assert process.value("churn_model_stale") == 1
    assert process.value("churn_registry_up") == 1
    count = len(mlflow.downloads)
    await process.follower.refresh()
    assert len(mlflow.downloads) == count
    assert process.value("churn_model_refused_total") == 1
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [
        f"version 3 of churn is refused: {refused.removeprefix('version 3: ')}"
    ]
    assert not [p for p in process.cache.iterdir() if p.name.startswith(".download")]


async def test_a_refusal_is_forgotten_on_request(process: Process, mlflow: FakeMlflow, tmp_path: Path) -> None:
    mlflow.versions["3"] = shutil.copytree(mlflow.versions["2"], tmp_path / "three")
    mlflow.alias = "3"
    good = (mlflow.versions["3"] / MODEL).read_bytes()
    cut(mlflow.versions["3"] / MODEL)
    await process.follower.refresh()
    assert process.live is None
    (mlflow.versions["3"] / MODEL).write_bytes(good)  # restored from a backup, say
    await process.follower.refresh()
    assert process.live is None
    process.follower.forget_refusal()
    await process.follower.refresh()
    assert process.live == ("3", "registry")
    assert report(process.service).registry.refused is None


async def test_a_version_registered_again_is_tried_again(process: Process, mlflow: FakeMlflow, tmp_path: Path) -> None:
    mlflow.versions["3"] = _damaged(mlflow.versions["2"], tmp_path / "spoiled")
    mlflow.alias = "3"
    await process.follower.refresh()
    mlflow.versions["3"] = mlflow.versions["2"]
    await process.follower.refresh()
    assert process.live == ("3", "registry")


async def test_a_refusal_is_over_when_the_alias_moves_back(
    process: Process, mlflow: FakeMlflow, tmp_path: Path
) -> None:
    await process.follower.refresh()
    mlflow.versions["3"] = _damaged(mlflow.versions["2"], tmp_path / "spoiled")
    for alias, refused in (("3", True), ("1", False), ("3", True)):
        mlflow.alias = alias
        await process.follower.refresh()
        assert (report(process.service).registry.refused is not None) is refused
        assert process.value("churn_model_stale") == float(refused)


# ---------------------------------------------------------------- an unreachable registry


async def test_without_the_registry_the_model_keeps_serving_and_the_failure_is_logged_once(
    process: Process, mlflow: FakeMlflow, caplog: pytest.LogCaptureFixture
) -> None:
    await process.follower.refresh()
    mlflow.fail()
    for _ in range(3):
        await process.follower.refresh()
    state = report(process.service)
    assert (state.status, state.registry.reachable) == ("ready", False)
    assert state.registry.last_error == "no answer from MLflow at http://127.0.0.1:5000: ConnectError"
    assert state.registry.last_success is not None
    assert process.value("churn_registry_up") == 0
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    mlflow.overrides.clear()
    await process.follower.refresh()
    assert report(process.service).registry.last_error is None
    assert process.value("churn_registry_up") == 1


async def test_an_interrupted_download_is_tried_again(process: Process, mlflow: FakeMlflow) -> None:
    await process.follower.refresh()
    mlflow.alias = "2"
    mlflow.fail(on=MODEL)
    await process.follower.refresh()
    assert process.live == ("1", "registry")
    assert process.value("churn_model_refused_total") == 0
    assert process.value("churn_model_stale") == 1
    mlflow.overrides.clear()
    await process.follower.refresh()
    assert process.live == ("2", "registry")


async def test_no_unexpected_error_stops_the_follower(
    process: Process, mlflow: FakeMlflow, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow.fail(ZeroDivisionError("canary"))
    await process.follower.refresh()
    assert report(process.service).registry.last_error == "unexpected ZeroDivisionError"
    assert any(r.exc_info for r in caplog.records)
    mlflow.overrides.clear()
    await process.follower.refresh()
    assert process.live == ("1", "registry")


async def test_the_alias_is_looked_up_more_often_while_there_is_no_model(
    process: Process, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            mlflow.overrides.clear()
        if len(pauses) == 4:
            raise asyncio.CancelledError

    mlflow.fail()
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await process.follower.run()
    assert [0.9 <= p <= 1.1 for p in pauses] == [True, True, False, False]
    assert all(13.5 <= p <= 16.5 for p in pauses[2:])


# ---------------------------------------------------------------- in the application


async def test_the_application_follows_while_it_runs_and_refreshes_on_demand(
    mlflow: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "_open_registry", mlflow.registry)
    before = asyncio.all_tasks()
    settings = Settings(auth="off", model_cache_dir=tmp_path, log_requests=False, model_poll_seconds=3600)
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        while (await client.get("/ready")).status_code != 200:  # noqa: ASYNC110  # the first look-up runs beside this
            await asyncio.sleep(0.01)
        assert (await client.get("/v1/model")).json()["version"] == "1"
        mlflow.alias = "2"
        answer = await client.post("/v1/model/refresh")
        assert (answer.status_code, answer.json()["model_version"]) == (200, "2")
        mlflow.fail()
        answer = await client.post("/v1/model/refresh")
        assert answer.json()["registry"]["reachable"] is False
        assert (await client.get("/ready")).status_code == 200
    assert asyncio.all_tasks() <= before
