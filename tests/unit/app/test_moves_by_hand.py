"""An alias that was moved outside of `churn` is noticed, reported once, and corrected by a promotion."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support.bundles import REFUSED, make_bundle
from support.fake_mlflow import FakeMlflow
from support.process import Process

from app.bundle import STAGE_TAG
from app.routes.health import report
from app.settings import Settings

pytestmark = pytest.mark.anyio

METRIC = "churn_model_alias_moved_by_hand"
TOLD = "alias production was moved to version 2 outside of `churn`: see `churn history`"


def _report(process: Process) -> str | None:
    return report(process.service).registry.moved_by_hand


def _by_hand(mlflow: FakeMlflow, version: str, stage: str = "Archived") -> None:
    mlflow.alias = version
    mlflow.more_tags[version] = {STAGE_TAG: stage}


async def test_a_promoted_version_is_not_reported_as_moved_by_hand(process: Process) -> None:
    assert process.value(METRIC) == 0
    await process.follower.refresh()
    assert (_report(process), process.value(METRIC)) == (None, 0)


@pytest.mark.parametrize("stage", ["None", "Staging", "Archived", "production", ""])
async def test_a_version_that_passed_serves_and_its_move_is_noticed(
    process: Process, mlflow: FakeMlflow, stage: str
) -> None:
    await process.follower.refresh()
    _by_hand(mlflow, "2", stage)
    await process.follower.refresh()
    assert process.live == ("2", "registry")
    assert (_report(process), process.value(METRIC)) == (TOLD, 1)
    assert report(process.service).registry.refused is None


async def test_a_version_without_the_tag_is_noticed(process: Process, mlflow: FakeMlflow) -> None:
    mlflow.answer("registered-models/alias", json={"model_version": {"version": "2", "tags": []}})
    await process.follower.refresh()
    assert (_report(process), process.value(METRIC)) == (TOLD, 1)


async def test_a_refused_version_does_not_serve_and_its_move_is_noticed(
    process: Process, mlflow: FakeMlflow, tmp_path: Path
) -> None:
    await process.follower.refresh()
    make_bundle(tmp_path / "bundle", seed=3, gates=[REFUSED])
    mlflow.versions["2"] = tmp_path / "bundle"
    _by_hand(mlflow, "2")
    for _ in range(2):
        await process.follower.refresh()
        assert process.live == ("1", "registry")
        assert (_report(process), process.value(METRIC)) == (TOLD, 1)
    assert "its gates refused it" in (report(process.service).registry.refused or "")


@pytest.mark.parametrize("remedy", ["promote", "rollback"])
async def test_a_regular_move_ends_the_report(process: Process, mlflow: FakeMlflow, remedy: str) -> None:
    await process.follower.refresh()
    _by_hand(mlflow, "2")
    await process.follower.refresh()
    swaps = process.value("churn_model_swaps_total") or 0
    if remedy == "promote":  # of the live version: only its tag changes
        mlflow.more_tags["2"] = {STAGE_TAG: "Production"}
    else:
        mlflow.alias = "1"
    await process.follower.refresh()
    assert (_report(process), process.value(METRIC)) == (None, 0)
    assert process.value("churn_model_swaps_total") == (swaps or 0) + (remedy == "rollback")


async def test_a_move_by_hand_is_logged_when_it_begins_and_when_it_ends(
    process: Process, mlflow: FakeMlflow, caplog: pytest.LogCaptureFixture
) -> None:
    await process.follower.refresh()
    caplog.set_level(logging.INFO)
    _by_hand(mlflow, "2")
    for _ in range(3):
        await process.follower.refresh()
    mlflow.alias = "1"
    for _ in range(3):
        await process.follower.refresh()
    ours = [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "app.follower"]
    assert [line for line in ours if not line[1].startswith("serving version")] == [
        (logging.WARNING, TOLD),
        (logging.INFO, "alias production names version 1, which `churn` put there"),
    ]


async def test_the_report_stays_while_the_registry_does_not_answer(process: Process, mlflow: FakeMlflow) -> None:
    _by_hand(mlflow, "2")
    await process.follower.refresh()
    mlflow.fail()
    await process.follower.refresh()
    assert (_report(process), process.value(METRIC)) == (TOLD, 1)


@pytest.mark.parametrize(
    ("alias", "regular"),
    [
        ("production", {"Production"}),
        ("staging", {"Staging"}),
        ("previous", {"None", "Staging", "Production", "Archived"}),
        ("canary", {"None", "Staging", "Production", "Archived"}),
    ],
)
async def test_each_alias_has_its_own_stage_and_an_unknown_one_has_none(
    mlflow: FakeMlflow, alias: str, regular: set[str]
) -> None:
    registry = mlflow.registry(Settings(auth="off", model_alias=alias))
    for stage in ("None", "Staging", "Production", "Archived"):
        tags = [{"key": STAGE_TAG, "value": stage}]
        mlflow.answer("registered-models/alias", json={"model_version": {"version": "2", "tags": tags}})
        assert (await registry.resolve()).by_hand is (stage not in regular)
