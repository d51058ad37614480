"""A version in production that somebody deletes in MLflow is never the same as none: promotion, rollback, API.

The present server deletes its aliases too. Older ones left them (mlflow PR 24825), and an upgrade keeps such rows, so
the second kind of deletion puts the row back into the database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from support.bundles import random_customers
from support.registered import follow
from support.servers import Api, Mlflow, wait_until
from support.training_runs import aliases, config

from app.names import MODEL_NAME
from ops.jobs import retrain
from ops.jobs.retrain import Options
from training import registry
from training.generate import write
from training.ledger import DeletedVersion
from training.mlflow_store import RegistryError, by_alias, connect
from training.registry import DecisionNeededError, Responsibility
from training.train import train
from training.truth import GeneratorConfig

pytestmark = [pytest.mark.service, pytest.mark.long(seconds=45, together=__name__)]

CUSTOMER = random_customers(1, seed=17)[0]
FIRST = Options.parse(["--rows", "1000", "--data-seed", "1", "--first"])


@dataclass(frozen=True, kw_only=True)
class World:
    """A server whose version 2 is in production and version 1 was before."""

    url: str
    database: Path
    customers: Path

    def delete_production(self, *, alias_stays: bool) -> None:
        """Delete version 2 over REST, as MLflow's page does."""
        MlflowClient(self.url, registry_uri=self.url).delete_model_version(MODEL_NAME, "2")
        assert "production" not in aliases(self.url, MODEL_NAME)
        if alias_stays:
            with closing(sqlite3.connect(self.database)) as session, session:
                session.execute(
                    "INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, 'production', 2)",
                    (MODEL_NAME,),
                )
            assert aliases(self.url, MODEL_NAME)["production"] == "2"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("mlflow")
    with Mlflow(folder) as server:
        write(GeneratorConfig(rows=1500, seed=5), folder / "customers.parquet")
        for _ in range(2):
            train(config(folder / "customers.parquet", server.url, MODEL_NAME))
            registry.promote(server.url, MODEL_NAME, actor="ann")
        assert aliases(server.url, MODEL_NAME) == {"production": "2", "previous": "1"}
        yield World(url=server.url, database=folder / "mlflow.db", customers=folder / "customers.parquet")


@pytest.fixture
def world(trained: World, tmp_path: Path) -> Iterator[World]:
    """The world, whose database is put back after the test."""
    with closing(sqlite3.connect(tmp_path / "saved.db")) as saved, closing(sqlite3.connect(trained.database)) as live:
        live.backup(saved)
        yield trained
        saved.backup(live)


@pytest.fixture(params=[False, True], ids=["alias deleted too", "alias left by an older server"])
def deleted(world: World, request: pytest.FixtureRequest) -> World:
    """The world without version 2."""
    world.delete_production(alias_stays=request.param)
    return world


def test_promotion_asks_a_person_since_nothing_is_left_to_compare_with(deleted: World) -> None:
    with pytest.raises(
        DecisionNeededError, match=r"--replace-schema, .* version 2 in production was deleted in MLflow"
    ):
        registry.promote(deleted.url, MODEL_NAME, "1")
    assert aliases(deleted.url, MODEL_NAME).get("production") in {None, "2"}
    move = registry.promote(deleted.url, MODEL_NAME, "1", responsibility=Responsibility(replace_schema=True))
    assert (move.to_version, move.acknowledged) == ("1", ["--replace-schema"])
    assert aliases(deleted.url, MODEL_NAME) == {"production": "1", "previous": "1"}


def test_rollback_serves_the_version_before_it(deleted: World) -> None:
    assert registry.rollback(deleted.url, MODEL_NAME).to_version == "1"
    assert aliases(deleted.url, MODEL_NAME)["production"] == "1"
    with pytest.raises(RegistryError, match="no earlier production version"):
        registry.rollback(deleted.url, MODEL_NAME)


def test_history_shows_the_deletion_and_keeps_it(deleted: World) -> None:
    last = registry.history(deleted.url, MODEL_NAME)[-1]
    assert (last.action, last.from_version, last.actor) == ("by hand", "2", "unknown")
    assert "version 2 was deleted in MLflow" in last.reason
    registry.rollback(deleted.url, MODEL_NAME)
    assert [move.action for move in registry.history(deleted.url, MODEL_NAME)[-2:]] == ["by hand", "rollback"]


def test_the_first_training_of_a_stack_neither_trains_nor_promotes(
    deleted: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.train.train", lambda *_, **__: pytest.fail("it trained"))
    outcome = retrain.retrain(FIRST, deleted.url)
    assert outcome is not None
    assert (outcome.verdict, outcome.result) == ("refused", None)
    assert "version 2 was in production and was deleted in MLflow" in capsys.readouterr().err


def test_a_retraining_does_not_pass_for_the_first_version(world: World) -> None:
    world.delete_production(alias_stays=False)
    result = train(config(world.customers, world.url, MODEL_NAME))
    (gate,) = [gate for gate in result.gates if gate.name == "regression"]
    assert gate.needs == "--replace-schema"
    assert "version 2 in production was deleted in MLflow" in gate.detail


def test_the_api_serves_on_and_follows_a_rollback(world: World, tmp_path: Path) -> None:
    settings: dict[str, Any] = follow(world.url, MODEL_NAME) | {"model_cache_dir": tmp_path / "model-cache"}
    with Api(tmp_path / "api", **settings) as api:
        before = api.predict(CUSTOMER)
        assert before["model_version"] == "2"
        world.delete_production(alias_stays=True)
        hint = "deleting a version in MLflow deletes its aliases"
        wait_until(lambda: hint in str(api.ready()["registry"]["last_error"]), "the deletion is visible")
        assert api.ready()["registry"]["reachable"] is False
        assert api.status("/ready") == 200
        assert api.predict(CUSTOMER) == before
        with Api(tmp_path / "started-later", **settings) as later:
            assert later.predict(CUSTOMER) == before, "from the local copy"
        registry.rollback(world.url, MODEL_NAME)
        wait_until(lambda: api.ready()["model_version"] == "1", "it follows the rollback")


def test_a_staged_version_that_was_deleted_is_named(world: World) -> None:
    client = MlflowClient(world.url, registry_uri=world.url)
    client.set_registered_model_alias(MODEL_NAME, "staging", "2")
    world.delete_production(alias_stays=False)
    with closing(sqlite3.connect(world.database)) as session, session:
        session.execute(
            "INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, 'staging', 2)", (MODEL_NAME,)
        )
    assert by_alias(connect(world.url), MODEL_NAME, "staging") == DeletedVersion(version="2")
    with pytest.raises(RegistryError, match="version 2, which it named, was deleted in MLflow"):
        registry.promote(world.url, MODEL_NAME)
