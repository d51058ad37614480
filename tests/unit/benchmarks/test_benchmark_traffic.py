import json
import re

import pytest
from support.telco import FEATURE_NAMES, Customer

from benchmarks import traffic
from benchmarks.bench import bodies
from benchmarks.contender import ROOT, Route
from benchmarks.peers import PEERS, REQUIREMENTS

LIBRARIES = ("pandas", "scikit-learn", "skops")


@pytest.fixture(scope="module")
def customers() -> list[traffic.CustomerJson]:
    return traffic.customers(300)


def test_customers_fit_the_schema_and_are_distinct(customers: list[traffic.CustomerJson]) -> None:
    assert len(customers) == 300
    for customer in customers:
        Customer.model_validate_json(traffic.one(customer))
    assert all(tuple(customer) == FEATURE_NAMES for customer in customers)
    assert len({traffic.one(customer) for customer in customers}) == 300


def test_batches_share_no_customer(customers: list[traffic.CustomerJson]) -> None:
    route = Route(path="", body=traffic.batch)
    batches = [json.loads(body)["customers"] for body in bodies(route, customers, 100, 20)]
    assert [len(batch) for batch in batches] == [100, 100, 100]
    assert [customer for batch in batches for customer in batch] == customers


def test_singles_stop_at_their_limit(customers: list[traffic.CustomerJson]) -> None:
    route = Route(path="", body=lambda some: traffic.one(some[0]))
    assert [json.loads(body) for body in bodies(route, customers, 1, 5)] == customers[:5]


def test_the_v2_protocol_has_one_typed_input_a_column(customers: list[traffic.CustomerJson]) -> None:
    request = json.loads(traffic.v2(customers[:2]))
    columns = {column["name"]: column for column in request["inputs"]}
    assert tuple(columns) == FEATURE_NAMES
    assert columns["tenure_months"]["datatype"] == "INT64"
    assert columns["monthly_charges"]["data"] == [c["monthly_charges"] for c in customers[:2]]
    assert columns["contract"]["parameters"] == {"content_type": "str"}
    assert all(column["shape"] == [2, 1] for column in columns.values())


def pinned(text: str) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==([^\s;\\]+)", text, flags=re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return versions


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_serves_with_the_releases_that_trained_the_model(peer: str) -> None:
    ours = pinned((ROOT / "requirements/training.lock").read_text(encoding="utf-8"))
    lock = (REQUIREMENTS / f"{peer}.txt").read_text(encoding="utf-8")
    theirs = pinned(lock)
    assert {name: theirs[name] for name in LIBRARIES} == {name: ours[name] for name in LIBRARIES}
    assert theirs["numpy"] <= ours["numpy"]
    assert peer in theirs
    assert "--hash=sha256:" in lock
    assert "://" not in lock


def test_the_mlflow_peer_is_the_release_that_registered_the_model() -> None:
    ours = pinned((ROOT / "requirements/training.lock").read_text(encoding="utf-8"))
    assert pinned((REQUIREMENTS / "mlflow.txt").read_text(encoding="utf-8"))["mlflow"] == ours["mlflow"]
