"""The stand-in providers have those rules of the real ones on which the other tests here rely."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from support.engine.aws import Aws
from support.engine.cluster import MemoryCluster
from support.engine.kubernetes import AUTONAMED, REPLACE_UNREADY, Kubernetes
from support.engine.provider import Asked, Journal, ProviderError, UnreadyError
from support.engine.wire import from_wire, is_secret, secret, to_wire

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "one"}}


def manifest(kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "any/v1", "kind": kind, "metadata": {"name": "it", "namespace": "one"}, **fields}


def asked(old: dict[str, Any], new: dict[str, Any]) -> Asked:
    return Asked(type="", name="it", old=old, new=new)


@pytest.mark.parametrize(
    ("kind", "old", "new", "replaced"),
    [
        ("ConfigMap", {"data": {"a": "1"}}, {"data": {"a": "2"}}, True),
        ("Secret", {"type": "Opaque"}, {"type": "kubernetes.io/tls"}, True),
        ("Deployment", {"spec": {"selector": {"a": "1"}}}, {"spec": {"selector": {"a": "2"}}}, True),
        ("Deployment", {"spec": {"template": {"a": "1"}}}, {"spec": {"template": {"a": "2"}}}, False),
        ("Job", {"spec": {"template": {"a": "1"}}}, {"spec": {"template": {"a": "2"}}}, True),
        ("PersistentVolumeClaim", {"spec": {"accessModes": ["a"]}}, {"spec": {"accessModes": ["b"]}}, True),
        ("PersistentVolumeClaim", {"spec": {"resources": {"a": 1}}}, {"spec": {"resources": {"a": 2}}}, False),
        ("StatefulSet", {"spec": {"volumeClaimTemplates": []}}, {"spec": {"volumeClaimTemplates": [1]}}, True),
        ("RoleBinding", {"roleRef": {"name": "a"}}, {"roleRef": {"name": "b"}}, True),
        ("Service", {"spec": {"ports": [{"port": 1}]}}, {"spec": {"ports": [{"port": 2}]}}, False),
    ],
)
def test_what_cannot_change_in_place_is_replaced_and_a_fixed_name_is_freed_first(
    kind: str,
    old: dict[str, Any],
    new: dict[str, Any],
    replaced: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    provider = Kubernetes(Journal(), MemoryCluster())
    change = provider.diff(asked(manifest(kind, **old), manifest(kind, **new)))
    assert change.paths
    assert (bool(change.replacing), change.delete_first) == (replaced, replaced)

    before, after = manifest(kind, **old), manifest(kind, **new)
    for either in (before, after):
        either["metadata"]["annotations"] = {AUTONAMED: "true"}
    assert not provider.diff(asked(before, after)).delete_first


def test_the_cluster_refuses_doubles_and_objects_without_their_namespace() -> None:
    cluster = MemoryCluster()
    with pytest.raises(ProviderError, match='namespaces "one" not found'):
        cluster.create(manifest("Service"))
    cluster.create(NAMESPACE)
    cluster.create(manifest("Service"))
    with pytest.raises(ProviderError, match="already exists"):
        cluster.create(manifest("Service"))
    cluster.delete(NAMESPACE)
    assert cluster.objects == {}


REPLACE = {"annotations": {REPLACE_UNREADY: "true"}}


@pytest.mark.parametrize(
    ("failing", "exists", "annotated", "replaced"),
    [
        (True, True, True, True),
        (True, True, False, False),
        (True, False, True, False),
        (False, True, True, False),
    ],
)
def test_a_job_that_failed_is_replaced_only_by_its_annotation(
    failing: bool,  # noqa: FBT001 -- a column of the table
    exists: bool,  # noqa: FBT001 -- as above
    annotated: bool,  # noqa: FBT001 -- as above
    replaced: bool,  # noqa: FBT001 -- as above
) -> None:
    cluster = MemoryCluster()
    cluster.create(NAMESPACE)
    cluster.failing = {"it"} if failing else set()
    job = manifest("Job")
    job["metadata"] |= {"labels": {"app.kubernetes.io/name": "it"}, **(REPLACE if annotated else {})}
    if exists:
        with pytest.raises(UnreadyError) if failing else contextlib.nullcontext():
            cluster.create(job)
    change = Kubernetes(Journal(), cluster).diff(asked(job, job))
    assert (bool(change.replacing), change.paths) == (replaced, ())


def test_a_failed_job_stays_failed_however_often_it_is_updated() -> None:
    cluster = MemoryCluster()
    cluster.create(NAMESPACE)
    cluster.failing = {"it"}
    job = manifest("Job")
    job["metadata"]["labels"] = {"app.kubernetes.io/name": "it"}
    with pytest.raises(UnreadyError, match="Job it failed"):
        cluster.create(job)
    cluster.failing = set()
    with pytest.raises(UnreadyError, match="Job it failed"):
        cluster.update(job)
    cluster.delete(job)
    cluster.create(job)


def test_a_secret_comes_back_encoded_and_marked() -> None:
    cluster = MemoryCluster()
    cluster.create(NAMESPACE)
    inputs = from_wire(to_wire(manifest("Secret", stringData={"password": secret("canary")})))
    _identity, outputs = Kubernetes(Journal(), cluster).create(
        Asked(type="kubernetes:core/v1:Secret", name="it", new=inputs)
    )
    assert is_secret(outputs["data"])
    assert outputs["data"]["value"] == {"password": "Y2FuYXJ5"}


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("Function", {"name": "f", "reservedConcurrentExecutions": 1}, "its minimum value of"),
        (
            "ParameterGroup",
            {"parameters": [{"name": "superuser_reserved_connections", "value": "6"}]},
            "cannot be modi",
        ),
    ],
)
def test_aws_refuses_what_a_new_account_would_be_refused(kind: str, inputs: dict[str, Any], message: str) -> None:
    provider = Aws(Journal())
    with pytest.raises(ProviderError, match=message):
        provider.create(Asked(type=f"aws:x/y:{kind}", name="it", old={}, new=inputs))
    assert provider.resources == {}
    accepted = {"name": "f", "parameters": []}
    provider.create(Asked(type=f"aws:x/y:{kind}", name="it", old={}, new=accepted))
    with pytest.raises(ProviderError, match=message):
        provider.update(Asked(type=f"aws:x/y:{kind}", name="it", old=accepted, new=inputs))
