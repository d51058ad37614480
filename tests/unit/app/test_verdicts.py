"""A version that its gates refused serves only if a person overrode them, and only as long as the override stands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.bundles import REFUSED, make_bundle
from support.damage import edit_json
from support.fake_mlflow import FakeMlflow
from support.overrides import override
from support.process import Process

from app.bundle import MANIFEST, MAX_OVERRIDE_BYTES, OVERRIDE, OVERRIDE_TAG
from app.routes.health import report

pytestmark = pytest.mark.anyio

BY_ITS_GATES = f"version 3: its gates refused it: {REFUSED.name}: {REFUSED.detail}. Only `churn promote"


@pytest.fixture(scope="module")
def refused_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that training writes for a version that failed a gate."""
    folder = tmp_path_factory.mktemp("refused")
    make_bundle(folder, seed=3, gates=[REFUSED])
    return folder


@pytest.fixture
def refused(refused_bundle: Path, mlflow: FakeMlflow, tmp_path: Path) -> Path:
    """The same bundle as version 3 in the registry; the alias names it."""
    mlflow.versions["3"] = shutil.copytree(refused_bundle, tmp_path / "three")
    mlflow.alias = "3"
    return mlflow.versions["3"]


def _tag(mlflow: FakeMlflow, value: str) -> None:
    mlflow.more_tags["3"] = {OVERRIDE_TAG: value}


def _report(process: Process) -> str:
    return report(process.service).registry.refused or ""


async def test_a_refused_version_serves_as_soon_as_it_is_overridden(
    process: Process, mlflow: FakeMlflow, refused: Path
) -> None:
    mlflow.alias = "1"
    await process.follower.refresh()
    mlflow.alias = "3"
    await process.follower.refresh()
    assert process.live == ("1", "registry")
    assert _report(process).startswith(BY_ITS_GATES)
    _tag(mlflow, override(refused, [REFUSED.name]))
    await process.follower.refresh()
    assert process.live == ("3", "registry")
    assert _report(process) == ""
    assert process.value("churn_model_stale") == 0
    assert process.value("churn_model_refused_total") == 1


async def test_an_unchanged_override_costs_no_download(process: Process, mlflow: FakeMlflow, refused: Path) -> None:
    _tag(mlflow, override(refused, [REFUSED.name]))
    await process.follower.refresh()
    count = len(mlflow.downloads)
    await process.follower.refresh()
    assert len(mlflow.downloads) == count
    assert process.value("churn_model_swaps_total") == 1


async def test_a_file_without_a_tag_overrides_nothing(process: Process, mlflow: FakeMlflow, refused: Path) -> None:
    override(refused, [REFUSED.name])
    await process.follower.refresh()
    assert process.live is None
    assert _report(process).startswith(BY_ITS_GATES)
    assert OVERRIDE not in mlflow.downloads


async def test_a_tag_without_a_file_overrides_nothing(process: Process, mlflow: FakeMlflow, refused: Path) -> None:
    _tag(mlflow, override(refused, [REFUSED.name]))
    (refused / OVERRIDE).unlink()
    await process.follower.refresh()
    assert process.live is None
    assert _report(process) == f"version 3: {OVERRIDE}: missing among the artifacts of version 3"


@pytest.mark.parametrize("tag", ["yes", "a" * 64, "A" * 64])
async def test_a_tag_with_another_digest_overrides_nothing(
    process: Process, mlflow: FakeMlflow, refused: Path, tag: str
) -> None:
    override(refused, [REFUSED.name])
    _tag(mlflow, tag)
    await process.follower.refresh()
    assert process.live is None
    assert _report(process) == f"version 3: {OVERRIDE}: its sha256 is not the registered one ({OVERRIDE_TAG})"


async def test_an_edited_override_is_refused(process: Process, mlflow: FakeMlflow, refused: Path) -> None:
    _tag(mlflow, override(refused, []))
    edit_json(refused / OVERRIDE, lambda decision: decision.update(gates=[REFUSED.name]))
    await process.follower.refresh()
    assert process.live is None
    assert "its sha256 is not the registered one" in _report(process)


async def test_an_override_of_another_manifest_is_refused(process: Process, mlflow: FakeMlflow, refused: Path) -> None:
    _tag(mlflow, override(refused, [REFUSED.name], manifest_sha256="0" * 64))
    await process.follower.refresh()
    assert process.live is None
    assert _report(process).startswith(f"version 3: {OVERRIDE}: it is about another manifest; its gates refused it")


async def test_an_override_of_other_gates_is_refused(process: Process, mlflow: FakeMlflow, refused: Path) -> None:
    _tag(mlflow, override(refused, ["another"]))
    await process.follower.refresh()
    assert process.live is None
    assert f"does not cover gate {REFUSED.name}" in _report(process)


async def test_an_override_is_bounded(process: Process, mlflow: FakeMlflow, refused: Path) -> None:
    _tag(mlflow, override(refused, [REFUSED.name]))
    mlflow.answer(OVERRIDE, content=b" " * 2 * MAX_OVERRIDE_BYTES)
    await process.follower.refresh()
    assert process.live is None
    assert _report(process) == f"version 3: {OVERRIDE}: larger than the {MAX_OVERRIDE_BYTES} bytes it may have"


async def test_a_withdrawn_override_is_reported_and_the_version_keeps_serving(
    process: Process, mlflow: FakeMlflow, refused: Path
) -> None:
    _tag(mlflow, override(refused, [REFUSED.name]))
    await process.follower.refresh()
    mlflow.more_tags.clear()
    for _ in range(2):
        await process.follower.refresh()
    assert process.live == ("3", "registry")
    assert _report(process).startswith(BY_ITS_GATES)
    assert process.value("churn_model_refused_total") == 1
    assert process.value("churn_model_stale") == 1
    fresh = Process(mlflow, process.disk / "of-a-new-pod")
    await fresh.follower.refresh()
    assert fresh.live is None


async def test_a_restart_serves_the_overridden_copy_without_the_registry(
    process: Process, mlflow: FakeMlflow, refused: Path
) -> None:
    _tag(mlflow, override(refused, [REFUSED.name]))
    await process.follower.refresh()
    mlflow.fail()
    again = Process(mlflow, process.disk)
    await again.follower.start()
    assert again.live == ("3", "cache")
    mlflow.overrides.clear()
    mlflow.requests.clear()
    await again.follower.refresh()
    assert (again.live, mlflow.downloads) == (("3", "cache"), [])


@pytest.mark.parametrize("damage", ["file edited", "file gone", "digest gone"])
async def test_a_copy_whose_override_is_invalid_is_refused(
    process: Process, mlflow: FakeMlflow, refused: Path, damage: str
) -> None:
    _tag(mlflow, override(refused, [REFUSED.name]))
    await process.follower.refresh()
    (copy,) = (path for path in process.cache.iterdir() if path.is_dir())
    if damage == "file edited":
        edit_json(copy / OVERRIDE, lambda decision: decision.update(actor="bob"))
    elif damage == "file gone":
        (copy / OVERRIDE).unlink()
    else:
        edit_json(process.cache / "current.json", lambda current: current.pop("override_sha256"))
    again = Process(mlflow, process.disk)
    await again.follower.start()
    assert again.live is None
    assert _report(again).startswith("the local copy: ")
    await again.follower.refresh()
    assert again.live == ("3", "registry")
    assert _report(again) == ""


async def test_a_copy_of_an_earlier_release_names_no_override_and_loads(process: Process, mlflow: FakeMlflow) -> None:
    await process.follower.refresh()
    current = json.loads((process.cache / "current.json").read_bytes())
    assert current.keys() == {"version", "manifest_sha256"}
    again = Process(mlflow, process.disk)
    await again.follower.start()
    assert again.live == ("1", "cache")


async def test_a_version_without_a_verdict_is_refused_with_the_remedy(
    process: Process, mlflow: FakeMlflow, tmp_path: Path
) -> None:
    await process.follower.refresh()
    old = shutil.copytree(mlflow.versions["1"], tmp_path / "old")
    edit_json(old / MANIFEST, lambda manifest: manifest.pop("gates"))
    mlflow.versions["3"], mlflow.alias = old, "3"
    await process.follower.refresh()
    assert process.live == ("1", "registry")
    assert _report(process) == (
        "version 3: its manifest records no verdict of its gates. "
        "Only `churn promote --version N --override REASON` puts it into service"
    )
    _tag(mlflow, override(old, []))
    await process.follower.refresh()
    assert process.live == ("3", "registry")


async def test_a_copy_without_a_verdict_is_refused_and_ready_says_why(
    process: Process, mlflow: FakeMlflow, tmp_path: Path
) -> None:
    old = mlflow.versions["3"] = shutil.copytree(mlflow.versions["1"], tmp_path / "old")
    edit_json(old / MANIFEST, lambda manifest: manifest.pop("gates"))
    _tag(mlflow, override(old, []))
    mlflow.alias = "3"
    await process.follower.refresh()
    # As written by an earlier release, which knew no overrides.
    (copy,) = (path for path in process.cache.iterdir() if path.is_dir())
    (copy / OVERRIDE).unlink()
    edit_json(process.cache / "current.json", lambda current: current.pop("override_sha256"))
    mlflow.fail()
    again = Process(mlflow, process.disk)
    await again.follower.start()
    await again.follower.refresh()
    state = report(again.service)
    assert (state.status, again.live) == ("starting", None)
    assert state.registry.refused is not None
    assert state.registry.refused.startswith("the local copy: its manifest records no verdict of its gates")
