"""Bundles that the tests of serving share; they are only read, never changed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from support.api import Api, make_api
from support.bundles import make_bundle
from support.fake_mlflow import FakeMlflow
from support.process import Process

from app import served

# The same cases on every machine, no folder of failing examples, and no test that fails on a busy machine.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps ``put_into_service`` from collecting this process's garbage: with training's libraries it takes 0.2 s."""
    monkeypatch.setattr(served, "gc", SimpleNamespace(collect=int, freeze=int, unfreeze=int))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A logistic regression, explained linearly."""
    folder = tmp_path_factory.mktemp("bundle")
    make_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another logistic regression: same type, other weights."""
    folder = tmp_path_factory.mktemp("other")
    make_bundle(folder, seed=1)
    return folder


@pytest.fixture(scope="session")
def boosting_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gradient boosting, explained by occlusion."""
    folder = tmp_path_factory.mktemp("boosting")
    make_bundle(folder, seed=2, model_type="gradient_boosting")
    return folder


@pytest.fixture
def api(bundle: Path, tmp_path: Path) -> Api:
    return make_api(bundle, tmp_path)


@pytest.fixture
def mlflow(bundle: Path, other_bundle: Path) -> FakeMlflow:
    """Two versions; the alias names the first."""
    return FakeMlflow(versions={"1": bundle, "2": other_bundle}, alias="1")


@pytest.fixture
def process(mlflow: FakeMlflow, tmp_path: Path) -> Process:
    """A process that has not asked the registry yet, with an empty cache."""
    return Process(mlflow, tmp_path / "cache")
