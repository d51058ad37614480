"""Every object of every stack is valid in each supported Kubernetes version, and has no unknown field."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import jsonschema_rs
import kubernetes_validate  # type: ignore[import-untyped]  # published without types
import pytest
from kubernetes_validate import utils
from support import crds
from support.recorder import STACKS, record_with, recorded

from ops.stack import metrics_server

pytestmark = pytest.mark.timeout(1200)  # the first run of a machine downloads the definitions
VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")
Json = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> Iterator[None]:
    """Cache the definitions: the library reads megabytes of them for every object."""
    with mock.patch.object(utils, "schema_contents", functools.cache(utils.schema_contents)):
        yield


@functools.cache
def objects() -> dict[str, Json]:
    """The distinct objects of all stacks, of one with a mesh, of one with an ALB, and of metrics-server, by a name.

    `churn cluster up` installs metrics-server on kind. The name is for messages.
    """
    mesh, alb = {"mesh": "istio"}, {"balancer": "alb"}
    recordings = [*map(recorded, STACKS), record_with("prod", namespaces=mesh), record_with("prod", edge=alb)]
    distinct: dict[str, str] = {}
    for recording in recordings:
        for item in recording.manifests():
            name = (
                f"{recording.stack}: {item['kind']} {item['metadata'].get('namespace', '-')}/{item['metadata']['name']}"
            )
            distinct.setdefault(json.dumps(item, sort_keys=True), name)
    for item in metrics_server.objects():
        distinct.setdefault(json.dumps(item, sort_keys=True), f"kind: {item['kind']} {item['metadata']['name']}")
    return {f"{name} ({number})": json.loads(text) for number, (text, name) in enumerate(distinct.items())}


def is_custom(item: Json) -> bool:
    return (item["apiVersion"], item["kind"]) in crds.KINDS


def is_unpublished(item: Json) -> bool:
    return (item["apiVersion"], item["kind"]) in crds.UNPUBLISHED


def misfit(item: Json, version: str) -> str | None:
    """What is wrong with an object; None if nothing is."""
    try:
        if is_custom(item):
            jsonschema_rs.validate(crds.schema(item["apiVersion"], item["kind"]), item)
        else:
            kubernetes_validate.validate(item, version, strict=True)
    except jsonschema_rs.ValidationError as error:
        return f"{'.'.join(map(str, error.instance_path))}: {error.message[:300]}"
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return str(error.message)
    return None


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(version: str) -> None:
    assert version in {utils.major_minor(known) for known in utils.all_versions()}
    judged = {name: item for name, item in objects().items() if not (is_custom(item) or is_unpublished(item))}
    problems = {name: misfit(item, version) for name, item in judged.items()}
    assert {name: problem for name, problem in problems.items() if problem} == {}


def test_every_custom_object_is_valid() -> None:
    assert {(item["apiVersion"], item["kind"]) for item in objects().values() if is_custom(item)} == crds.KINDS
    problems = {name: misfit(item, "") for name, item in objects().items() if is_custom(item)}
    assert {name: problem for name, problem in problems.items() if problem} == {}


DEPLOYMENT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "sample"},
    "spec": {
        "selector": {"matchLabels": {"app": "sample"}},
        "template": {
            "metadata": {"labels": {"app": "sample"}},
            "spec": {"containers": [{"name": "sample", "image": "sample:1"}]},
        },
    },
}


def damaged(damage: Callable[[Json], object]) -> Json:
    item = copy.deepcopy(DEPLOYMENT)
    damage(item)
    return item


@pytest.mark.parametrize("version", VERSIONS)
def test_a_damaged_object_is_found(version: str) -> None:
    assert misfit(DEPLOYMENT, version) is None
    samples: dict[str, Callable[[Json], object]] = {
        "replicas": lambda item: item["spec"].update(replicas="two"),
        "selector": lambda item: item["spec"].pop("selector"),
        "replica": lambda item: item["spec"].update(replica=2),
        "imagePullpolicy": lambda item: item["spec"]["template"]["spec"]["containers"][0].update(imagePullpolicy="x"),
        "schema for kind": lambda item: item.update(apiVersion="apps/v1beta1"),
    }
    for word, damage in samples.items():
        problem = misfit(damaged(damage), version)
        assert problem is not None, word
        assert word in problem


def test_an_unlisted_custom_kind_is_found() -> None:
    item = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "sample"}, "spec": {}}
    assert "schema for kind Gadget" in str(misfit(item, VERSIONS[-1]))


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ({"kind": "PeerAuthentication", "spec": {"mtls": {"mode": "STRICT"}}}, None),
        ({"kind": "PeerAuthentication", "spec": {"mtls": {"mode": "STRICTLY"}}}, "STRICTLY"),
        ({"kind": "PeerAuthentication", "spec": {"mtls": {"modus": "STRICT"}}}, "modus"),
        ({"kind": "PeerAuthentication", "spec": {"portLevelMtls": {"8080": {"mode": "PERMISSIVE"}}}}, None),
        ({"kind": "PeerAuthentication", "spec": {"portLevelMtls": {"8080": {"modus": "PERMISSIVE"}}}}, "modus"),
        ({"kind": "SecretProviderClass", "spec": {"provider": "aws", "parameters": {"objects": "text"}}}, None),
        ({"kind": "SecretProviderClass", "spec": {"provider": "aws", "parameters": {"objects": []}}}, "objects"),
        ({"kind": "SecretProviderClass", "spec": {"providers": "aws"}}, "providers"),
    ],
    ids=str,
)
def test_custom_objects_are_held_to_their_definitions(item: Json, word: str | None) -> None:
    version = next(version for version, kind in crds.KINDS if kind == item["kind"])
    problem = misfit({"apiVersion": version, "metadata": {"name": "sample"}} | item, "")
    assert (problem is None) if word is None else (problem is not None and word in problem)
