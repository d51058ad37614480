"""Somebody moves the alias on MLflow's page: what serves then, what is told, and how it is set right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest
from support.bundles import REFUSED, make_bundle, random_customers
from support.overrides import override
from support.registered import Registered
from support.servers import Api, wait_until
from support.traffic import Traffic

from app.bundle import OVERRIDE, OVERRIDE_TAG

pytestmark = pytest.mark.service

CUSTOMERS = random_customers(100, seed=17)
RATE = 100
METRIC = "churn_model_alias_moved_by_hand"


@pytest.fixture(scope="module")
def registered(mlflow_server: str) -> Registered:
    return Registered(mlflow_server, "by-hand")


@pytest.fixture(scope="module")
def api(registered: Registered, bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    registered.point(registered.publish(bundles[0]))
    with Api(tmp_path_factory.mktemp("api"), **registered.settings()) as running:
        yield running


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused")
    make_bundle(folder, seed=4, gates=[REFUSED])
    return folder


def _told(api: Api) -> str | None:
    warning: str | None = api.ready()["registry"]["moved_by_hand"]
    return warning


def _words(number: str) -> str:
    return f"alias production was moved to version {number} outside of `churn`: see `churn history`"


def test_a_refused_version_is_not_served_and_its_override_is_taken_at_once(
    api: Api, registered: Registered, bundles: list[Path], refused: Path, tmp_path: Path
) -> None:
    good = registered.publish(bundles[0])
    registered.point(good)
    wait_until(lambda: api.ready()["model_version"] == good.number, "the good version serves")
    assert (_told(api), api.model_metrics()[METRIC]) == (None, 0)
    version = registered.publish(refused)
    with Traffic(api.url, CUSTOMERS, rate=RATE) as traffic:
        registered.move_by_hand(version)
        wait_until(lambda: api.ready()["registry"]["refused"], "the refusal is visible")
        seen = traffic.answered
        wait_until(lambda: traffic.answered >= seen + RATE, "some more answers")
        ready, metrics = api.ready(), api.model_metrics()
    assert (ready["status"], ready["model_version"]) == ("ready", good.number)
    assert ready["registry"]["refused"].startswith(f"version {version.number}: its gates refused it: {REFUSED.name}: ")
    assert ready["registry"]["moved_by_hand"] == _words(version.number)
    assert (metrics[METRIC], metrics["churn_model_stale"]) == (1, 1)
    assert not traffic.outcome.failures
    assert set(traffic.outcome.versions) == {good.number}

    decided = copytree(refused, tmp_path / "decided")
    digest = override(decided, [REFUSED.name])
    version.write(OVERRIDE, (decided / OVERRIDE).read_bytes())
    registered.tag(version, OVERRIDE_TAG, digest)
    registered.point(version)
    wait_until(lambda: api.ready()["model_version"] == version.number, "the overridden version serves")
    wait_until(lambda: _told(api) is None, "the move is regular")
    metrics = api.model_metrics()
    assert (metrics[METRIC], metrics["churn_model_stale"]) == (0, 0)
    assert api.ready()["registry"]["refused"] is None


def test_a_version_that_passed_serves_and_is_noticed_until_the_move_is_undone(
    api: Api, registered: Registered, bundles: list[Path]
) -> None:
    good, other = (registered.publish(bundle) for bundle in bundles[:2])
    registered.point(good)
    wait_until(lambda: api.ready()["model_version"] == good.number, "the good version serves")
    with Traffic(api.url, CUSTOMERS, rate=RATE) as traffic:
        registered.move_by_hand(other)
        wait_until(lambda: api.ready()["model_version"] == other.number, "the other version serves")
        assert _told(api) == _words(other.number)
        assert api.model_metrics()[METRIC] == 1
        registered.point(good)
        wait_until(lambda: api.ready()["model_version"] == good.number, "the good version serves again")
    assert not traffic.outcome.failures
    assert (_told(api), api.model_metrics()[METRIC]) == (None, 0)
    assert api.output.count(_words(other.number)) == 1
