"""Checks of what AWS offers: the cluster's version, builds of add-ons, and PostgreSQL's versions and parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from infra.aws import addons, database
from ops.stack.doctor_checks import Finding, Level
from ops.stack.preflight_asked import Asked, Check, finding

STANDARD: Final = "STANDARD_SUPPORT"


def cluster_version(asked: Asked) -> Iterator[Finding]:
    """Check that EKS offers the version, without the price of extended support."""
    chosen = asked.settings.eks.version
    offered = asked.client("eks").describe_cluster_versions()["clusterVersions"]
    status = {each["clusterVersion"]: each.get("versionStatus", "") for each in offered}
    best = max((version for version, state in status.items() if state == STANDARD), default="none", key=_numbers)
    if status.get(chosen) == STANDARD:
        yield finding("cluster version", Level.OK, f"EKS offers {chosen} with standard support")
        return
    text = f"EKS offers {chosen} no longer with standard support, or not yet; the newest with it is {best}"
    yield finding("cluster version", Level.ERROR, text, f"set churn:eks.version to {best}, or to one below it")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def addon_builds(asked: Asked) -> Iterator[Finding]:
    """Check that each pinned build exists for the cluster's version."""
    version = asked.settings.eks.version
    client = asked.client("eks")
    for addon, pinned in addons.builds(asked.settings).items():
        answer = client.describe_addon_versions(kubernetesVersion=version, addonName=addon)
        builds = [each for known in answer["addons"] for each in known["addonVersions"]]
        names = [each["addonVersion"] for each in builds]
        default = next((each["addonVersion"] for each in builds if _is_default(each, version)), "none")
        if pinned in names:
            yield finding("add-on builds", Level.OK, f"{addon} {pinned} fits Kubernetes {version}")
            continue
        text = f"{addon} {pinned} is no build for Kubernetes {version}; the default is {default}"
        remedy = "set it in churn:addons, or let `python -m ops.stack.eks_versions` choose"
        yield finding("add-on builds", Level.ERROR, text, remedy)


def _is_default(build: dict[str, list[dict[str, object]]], version: str) -> bool:
    return any(
        each.get("clusterVersion") == version and each.get("defaultVersion") for each in build["compatibilities"]
    )


def database_versions(asked: Asked) -> Iterator[Finding]:
    """Check that RDS offers PostgreSQL's version, in the class and with the storage that the stack has."""
    if asked.settings.database.kind != "rds":
        return
    client, rds = asked.client("rds"), asked.settings.rds
    offered = client.describe_db_engine_versions(Engine="postgres", EngineVersion=database.MAJOR)["DBEngineVersions"]
    if not offered:
        text = f"RDS offers no PostgreSQL {database.MAJOR}"
        yield finding("database", Level.ERROR, text, "upgrade the database first: docs/dr.md has the order")
        return
    newest = max((each["EngineVersion"] for each in offered), key=_numbers)
    pages = client.get_paginator("describe_orderable_db_instance_options").paginate(
        Engine="postgres", EngineVersion=newest, DBInstanceClass=rds.instance_class, Vpc=True
    )
    options = [each for page in pages for each in page["OrderableDBInstanceOptions"] if each["StorageType"] == "gp3"]
    if not options:
        text = f"RDS has no {rds.instance_class} with gp3 storage for PostgreSQL {newest} in this region"
        yield finding("database", Level.ERROR, text, "choose another churn:rds.instance_class")
        return
    if rds.multi_az and not any(each["MultiAZCapable"] for each in options):
        text = f"{rds.instance_class} cannot stand in two zones here"
        yield finding("database", Level.ERROR, text, "choose another churn:rds.instance_class")
        return
    least = min(each.get("MinStorageSize", 0) for each in options)
    if rds.storage_gib < least:
        text = f"churn:rds.storage_gib is {rds.storage_gib}, and {rds.instance_class} begins at {least}"
        yield finding("database", Level.ERROR, text, f"set it to {least} or more")
        return
    yield finding("database", Level.OK, f"PostgreSQL {newest} on {rds.instance_class} can be ordered")


def database_parameters(asked: Asked) -> Iterator[Finding]:
    """Check that each parameter exists, may be changed, and allows the value; RDS refuses the group otherwise."""
    if asked.settings.database.kind != "rds":
        return
    family = f"postgres{database.MAJOR}"
    pages = (
        asked.client("rds").get_paginator("describe_engine_default_parameters").paginate(DBParameterGroupFamily=family)
    )
    known = {each["ParameterName"]: each for page in pages for each in page["EngineDefaults"]["Parameters"]}
    problems = []
    for name, value in database.PARAMETERS.items():
        parameter = known.get(name)
        if parameter is None or not parameter.get("IsModifiable"):
            what = "is unknown" if parameter is None else "cannot be modified"
            problems.append(f"{name} {what} in the family {family}")
        elif not allows(parameter.get("AllowedValues", ""), value):
            problems.append(f"{name} allows {parameter['AllowedValues']}, and the stack sets {value}")
    for problem in problems:
        yield finding("database parameters", Level.ERROR, problem, "change PARAMETERS in infra/aws/database.py")
    if not problems:
        text = f"all {len(database.PARAMETERS)} parameters of the database can be set"
        yield finding("database parameters", Level.OK, text)


def allows(allowed: str, value: str) -> bool:
    """Whether RDS' list of allowed values has one: "0-100,200" is a range and a number; nothing allows everything."""
    if not allowed:
        return True
    for part in allowed.split(","):
        low, dash, high = part.strip().rpartition("-")
        if part.strip() == value:
            return True
        if dash and _is_number(low) and _is_number(high) and _is_number(value) and int(low) <= int(value) <= int(high):
            return True
    return False


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


CHECKS: Final[tuple[Check, ...]] = (cluster_version, addon_builds, database_versions, database_parameters)
