"""The series of all models of a process are counted before a version is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.api import Api
from support.bundles import make_bank_bundle
from support.contracts import small_bank, with_feature
from support.fake_mlflow import FakeMlflow

from app import main
from app.bundle import BundleError
from app.main import create_app
from app.metrics import ModelCounters
from app.model import load
from app.model_metrics import SeriesBudget
from app.service import Service
from app.settings import Settings

pytestmark = pytest.mark.anyio

BANK = small_bank()
WIDE = with_feature(BANK, "geography", categories=("France", "Germany", "Spain", *(f"c{n}" for n in range(60))))


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of the bank, and one with sixty more categories."""
    folder = tmp_path_factory.mktemp("banks")
    for name, contract in (("1", BANK), ("2", WIDE)):
        make_bank_bundle(folder / name, contract)
    return {name: folder / name for name in ("1", "2")}


def series(bundle: Path) -> int:
    return ModelCounters(load(bundle)).series


@asynccontextmanager
async def serving(
    registries: dict[str, FakeMlflow], cache: Path, max_series: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    monkeypatch.setattr(main, "_open_registry", lambda settings, name: registries[name].registry(settings, name))
    settings = Settings(
        models=",".join(registries), model_cache_dir=cache, auth="off", log_requests=False, model_poll_seconds=3600,
        max_series=max_series,
    )  # fmt: skip
    service = Service(settings)
    app = create_app(settings, service)
    async with app.router.lifespan_context(app):
        while not all(served.tried for served in service.models.values()):  # noqa: ASYNC110  # beside this
            await asyncio.sleep(0.01)
        yield Api(app, service, {})


async def refresh(api: Api, name: str) -> str | None:
    """Look the alias of a model up again; returns what /ready says of a refusal."""
    async with api.client("") as client:
        await client.post(f"/v1/models/{name}/refresh", json={})
        models = (await client.get("/ready")).json()["models"]
    refused: str | None = {m["name"]: m["registry"]["refused"] for m in models}[name]
    return refused


def versions(api: Api) -> dict[str, str | None]:
    models = api.service.models.items()
    return {name: served.live.model.origin.version if served.live else None for name, served in models}


async def test_the_series_that_are_counted_are_those_of_a_scrape(
    banks: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a", "b")
    registries = {name: FakeMlflow(versions=banks, alias="1", name=name) for name in names}
    async with serving(registries, tmp_path, 20_000, monkeypatch) as api:
        beginnings = (
            "churn_feature_bin", "churn_model_age", "churn_model_created", "churn_model_info", "churn_model_loaded",
            "churn_model_threshold", "churn_prediction_score", "churn_predictions",
        )  # fmt: skip
        samples = (sample for family in api.service.metrics.registry.collect() for sample in family.samples)
        of_versions = [sample for sample in samples if sample.name.startswith(beginnings)]
        assert len(of_versions) == 2 * series(banks["1"]) > 200


async def test_a_version_with_too_many_series_is_refused_and_the_others_serve(
    banks: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = series(banks["1"]), series(banks["2"])
    assert many == few + 2 * 60
    registries = {name: FakeMlflow(versions=banks, alias="1", name=name) for name in ("a", "b", "c")}
    async with serving(registries, tmp_path, 2 * few + 119, monkeypatch) as api:
        first = versions(api)
        assert sorted(first.values(), key=str) == ["1", "1", None], "whichever was last is refused"
        (out,) = (name for name, version in first.items() if version is None)
        refused = await refresh(api, out)
        assert refused is not None
        assert f"it has {few:,} series in Prometheus, the other models of this API have {2 * few:,}" in refused
        assert f"MAX_SERIES allows {2 * few + 119:,} in all" in refused
        one, other = (name for name in first if name != out)
        registries[one].alias = "2"
        assert "MAX_SERIES" in str(await refresh(api, one))
        assert versions(api) == first, "the version before goes on"
        registries[one].alias = "1"
        assert await refresh(api, one) is None
        assert await refresh(api, other) is None


async def test_a_refused_version_is_accepted_once_there_is_room(
    banks: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = series(banks["1"]), series(banks["2"])
    registries = {"a": FakeMlflow(versions=banks, alias="1", name="a")}
    async with serving(registries, tmp_path / "cache", many - 1, monkeypatch) as api:
        registries["a"].alias = "2"
        assert "MAX_SERIES" in str(await refresh(api, "a"))
    async with serving(registries, tmp_path / "cache", many, monkeypatch) as api:
        assert versions(api) == {"a": "2"}
    registries["a"].fail()
    async with serving(registries, tmp_path / "cache", few, monkeypatch) as api:
        assert versions(api) == {"a": None}, "a local copy is counted too"
        assert "the local copy: it has" in str(api.service.default.registry.refused)


def test_a_folder_with_a_model_beyond_the_bound_does_not_start(banks: dict[str, Path]) -> None:
    settings = Settings(auth="off", model_source=str(banks["1"]), max_series=100)
    with pytest.raises(BundleError, match="MAX_SERIES allows 100 in all"):
        create_app(settings)


def test_a_refusal_leaves_the_count_as_it_was() -> None:
    budget = SeriesBudget(10)
    budget.reserve("a", 6)
    for _ in range(2):
        with pytest.raises(BundleError, match="the other models of this API have 6"):
            budget.reserve("b", 5)
    with pytest.raises(BundleError, match="have 0"):
        budget.reserve("a", 11)
    budget.reserve("b", 4)
    budget.reserve("a", 3)
    budget.reserve("b", 7)
