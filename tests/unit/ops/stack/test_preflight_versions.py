"""`churn aws preflight` compares pinned versions with what AWS offers; botocore's Stubber gives recorded answers."""

from __future__ import annotations

from typing import Any

import pytest
from support.asked import Answers, asked, one

from infra.aws import addons, database
from ops.stack import preflight_versions
from ops.stack.doctor_checks import Level

OK, ERROR = Level.OK, Level.ERROR


def versions(**status: str) -> Answers:
    known = [{"clusterVersion": version.replace("v1_", "1."), "versionStatus": s} for version, s in status.items()]
    return {"eks": [("describe_cluster_versions", {"clusterVersions": known})]}


@pytest.mark.parametrize(
    ("status", "level"),
    [
        ({"v1_36": "STANDARD_SUPPORT", "v1_35": "STANDARD_SUPPORT"}, OK),
        ({"v1_36": "EXTENDED_SUPPORT", "v1_40": "STANDARD_SUPPORT", "v1_9": "STANDARD_SUPPORT"}, ERROR),
        ({"v1_35": "STANDARD_SUPPORT"}, ERROR),
    ],
)
def test_the_clusters_version(status: dict[str, str], level: Level) -> None:
    finding = one(preflight_versions.cluster_version(asked(versions(**status), eks={"version": "1.36"})))
    assert finding.level == level
    assert "v1_40" not in status or "set churn:eks.version to 1.40" in finding.remedy


def builds(addon: str, *names: str) -> tuple[str, Any]:
    default = {"clusterVersion": "1.36", "defaultVersion": True}
    known = [{"addonVersion": name, "compatibilities": [default]} for name in names]
    return "describe_addon_versions", {"addons": [{"addonName": addon, "addonVersions": known}]}


def test_each_build_of_an_addon() -> None:
    choice = {"nodes": "managed", "identity": "pod-identity", "version": "1.36"}
    pinned = addons.builds(asked({}, eks=choice).settings)
    first = next(iter(pinned))
    assert {*(spec.name for spec in addons.BEFORE_NODES), addons.OBSERVABILITY} < set(pinned)
    answers = {"eks": [builds(name, "v9" if name == first else build) for name, build in pinned.items()]}
    changed = asked(answers, eks=choice)
    findings = list(preflight_versions.addon_builds(changed))
    assert [finding.level for finding in findings] == [ERROR if name == first else OK for name in pinned]
    (wrong,) = [finding for finding in findings if finding.level == ERROR]
    assert f"{first} {pinned[first]} is no build for Kubernetes 1.36; the default is v9" in wrong.text


def orderable(**more: Any) -> list[tuple[str, Any]]:
    option = {"StorageType": "gp3", "MultiAZCapable": True, "MinStorageSize": 20, **more}
    engine = {"DBEngineVersions": [{"EngineVersion": version} for version in ("15.9", "15.14", "15.10")]}
    return [
        ("describe_db_engine_versions", engine),
        ("describe_orderable_db_instance_options", {"OrderableDBInstanceOptions": [option]}),
    ]


@pytest.mark.parametrize(
    ("answers", "level", "text"),
    [
        (orderable(), OK, "PostgreSQL 15.14 on db.t4g.medium can be ordered"),
        (orderable(StorageType="gp2"), ERROR, "no db.t4g.medium with gp3"),
        (orderable(MultiAZCapable=False), ERROR, "two zones"),
        (orderable(MinStorageSize=100), ERROR, "begins at 100"),
        ([("describe_db_engine_versions", {"DBEngineVersions": []})], ERROR, "offers no PostgreSQL 15"),
    ],
)
def test_the_database_can_be_ordered(answers: list[tuple[str, Any]], level: Level, text: str) -> None:
    changed = asked({"rds": answers}, rds={"multi_az": True})
    finding = one(preflight_versions.database_versions(changed))
    assert finding.level == level
    assert text in finding.text


def parameters(**changes: Any) -> Answers:
    known = {name: {"ParameterName": name, "IsModifiable": True} for name in database.PARAMETERS}
    for name, change in changes.items():
        known[name] = {**known[name], **change}
    answer = {"EngineDefaults": {"Parameters": list(known.values())}}
    return {"rds": [("describe_engine_default_parameters", answer)]}


@pytest.mark.parametrize(
    ("changes", "level", "text"),
    [
        ({}, OK, "parameters of the database can be set"),
        ({"max_connections": {"IsModifiable": False}}, ERROR, "max_connections cannot be modified"),
        ({"max_connections": {"AllowedValues": "6-10"}}, ERROR, "max_connections allows 6-10"),
        ({"max_connections": {"ParameterName": "other"}}, ERROR, "max_connections is unknown"),
    ],
)
def test_the_databases_parameters(changes: dict[str, Any], level: Level, text: str) -> None:
    finding = one(preflight_versions.database_parameters(asked(parameters(**changes))))
    assert finding.level == level
    assert text in finding.text


@pytest.mark.parametrize(
    ("allowed", "value", "holds"),
    [
        ("0-100", "7", True), ("0-100", "101", False), ("-1-100", "-1", True), ("0,1", "1", True), ("0,1", "2", False),
        ("md5,scram-sha-256", "scram-sha-256", True), ("md5,scram-sha-256", "plain", False), ("", "x", True),
    ],
)  # fmt: skip
def test_lists_of_allowed_values(allowed: str, value: str, *, holds: bool) -> None:
    assert preflight_versions.allows(allowed, value) is holds
