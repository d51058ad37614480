"""The program as a whole: its order, its outputs, and what it refuses before anything is created."""

from __future__ import annotations

import dataclasses
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from support import rds_authority
from support.order import before
from support.paths import ROOT
from support.recorder import STACKS, MadeUpDigests, config, find, own_image, pod_templates, recorded, settings

from infra import trust
from infra.config import ConfigError, Settings
from infra.naming import NAMESPACES
from infra.stack import check_prerequisites
from infra.versions import registry_host
from ops.stack.recording import Resource, record
from ops.stack.render import stack_program


def test_no_module_hides_one_of_the_standard_library_or_of_a_dependency() -> None:
    """Pulumi puts `infra/` first on the path, so `import x` would find ours."""
    ours = {path.stem for path in (ROOT / "infra").iterdir()} - {"__init__", "__main__", "__pycache__"}
    assert ours & (set(sys.stdlib_module_names) | set(packages_distributions())) == set()


def _before(stack: str) -> dict[str, set[str]]:
    return before(recorded(stack))


def _pods(stack: str) -> list[Resource]:
    kinds = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"}
    return [item for item in recorded(stack).resources if item.is_kubernetes and item.inputs["kind"] in kinds]


@pytest.mark.parametrize("stack", STACKS)
def test_no_pod_comes_before_its_namespace_policy_and_account(stack: str) -> None:
    before, recording = _before(stack), recorded(stack)
    namespaces = {find(recording, "Namespace", name).urn for name in NAMESPACES}
    denials = {find(recording, "NetworkPolicy", "deny-all", name).urn for name in NAMESPACES}
    for item in _pods(stack):
        metadata = item.inputs["metadata"]
        account = find(recording, "ServiceAccount", metadata["labels"]["app.kubernetes.io/name"])
        own = find(recording, "NetworkPolicy", metadata["labels"]["app.kubernetes.io/name"], metadata["namespace"])
        assert before[item.urn] >= {account.urn, own.urn, *namespaces, *denials}, item.name


def test_mlflow_waits_for_its_migration_and_that_for_the_database() -> None:
    before, dev = _before("dev"), recorded("dev")
    server, migration = find(dev, "Deployment", "mlflow"), find(dev, "Job", "mlflow-migration-job")
    assert migration.urn in before[server.urn]
    assert find(dev, "StatefulSet", "postgres").urn in before[migration.urn]
    assert server.urn in before[find(dev, "Job", "training-first").urn]


@pytest.mark.parametrize("stack", STACKS)
def test_no_workload_waits_for_its_own_service(stack: str) -> None:
    """Pulumi waits until a Service has a ready endpoint: a controller that waited for it would wait for ever."""
    before = _before(stack)
    awaited = {
        item.urn
        for item in recorded(stack).resources
        if item.is_kubernetes and item.inputs["kind"] == "Service" and item.inputs["spec"].get("clusterIP") != "None"
    }
    controllers = [item for item in _pods(stack) if item.inputs["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}]
    for item in controllers:
        own = {urn for urn in awaited if find_selector(stack, urn) == item.inputs["spec"]["selector"]["matchLabels"]}
        assert not own & before[item.urn], item.name


def find_selector(stack: str, urn: str) -> dict[str, str]:
    selector: dict[str, str] = next(i for i in recorded(stack).resources if i.urn == urn).inputs["spec"]["selector"]
    return selector


@pytest.mark.parametrize("stack", STACKS)
def test_outputs_are_what_people_need_next(stack: str) -> None:
    outputs: dict[str, Any] = recorded(stack).outputs
    domain = config(stack)["churn:ingress"]["domain"]
    assert {name: outputs[f"{name}_url"] for name in ("api", "mlflow", "grafana")} == {
        name: f"https://{name}.{domain}" for name in ("api", "mlflow", "grafana")
    }
    assert outputs["certificate"]
    made_here = stack == "dev"
    assert ("api_key" in outputs) == made_here
    assert ("api_key" in recorded(stack).secret_outputs) == made_here
    assert ({"grafana_password", "mlflow_password"} <= recorded(stack).secret_outputs) == made_here


def test_prod_refuses_an_image_without_a_digest() -> None:
    with pytest.raises(ConfigError, match=r"require_digests is true, but images.lock.json has no digest for .*: run"):
        record("prod", stack_program({}), config("prod"))


def test_an_image_without_a_digest_is_refused_before_anything_is_made() -> None:
    reached: list[str] = []

    def program() -> None:
        stack_program({})()
        reached.append("it went on")  # pragma: no cover - it must not

    with pytest.raises(ConfigError, match=r"no digest for .*, churn/training:0\.1\.0: run"):
        record("prod", program, config("prod"))
    assert reached == []
    with pytest.raises(ConfigError, match="no digest for"):
        check_prerequisites(with_registry("prod", "registry.example.com/churn"), {})


def with_registry(stack: str, registry: str) -> Settings:
    before = settings(stack)
    return before.model_copy(update={"images": before.images.model_copy(update={"registry": registry})})


@pytest.mark.parametrize("stack", ["staging", "prod"])
@pytest.mark.parametrize(
    "registry", ["churn", "somebody/churn", "churn.invalid", "localhost/churn", "localhost:5000/a"]
)
def test_a_stack_on_aws_refuses_a_registry_that_is_not_its_owners(stack: str, registry: str) -> None:
    """`churn/api` is an image of Docker Hub's user `churn`: nodes would run what that person pushes."""
    with pytest.raises(
        ConfigError, match=r"^churn:images.registry is '.*', which .*: set it to yours, such as ACCOUNT\.dkr\.ecr"
    ):
        check_prerequisites(with_registry(stack, registry), MadeUpDigests())


@pytest.mark.parametrize(
    "registry", ["000000000000.dkr.ecr.eu-central-1.amazonaws.com/churn", "r.example.com:5000/a/b"]
)
def test_a_stack_on_aws_takes_a_registry_with_a_host(
    registry: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rds_authority.write(tmp_path)
    monkeypatch.setattr(trust, "FOLDER", tmp_path)
    check_prerequisites(with_registry("prod", registry), MadeUpDigests())


def test_a_stack_on_aws_needs_what_its_database_is_verified_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trust, "FOLDER", tmp_path)
    registry = "000000000000.dkr.ecr.eu-central-1.amazonaws.com/churn"
    with pytest.raises(ConfigError, match="run `churn rds certificates --region eu-central-1`, and commit the file"):
        check_prerequisites(with_registry("prod", registry), MadeUpDigests())


def test_no_node_can_pull_the_images_of_a_local_stack_from_anywhere() -> None:
    """They are loaded: with a name that resolves, an image that was not loaded would be whatever is published there."""
    image = own_image("dev", "api")
    assert str(registry_host(image)).endswith(".invalid")


def test_a_local_stack_without_its_kubeconfig_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    with pytest.raises(ConfigError, match="there is no kubeconfig at /nowhere/kubeconfig"):
        check_prerequisites(settings("dev"), {})


@pytest.mark.parametrize("stack", STACKS)
def test_what_mounts_a_claim_depends_on_it_and_so_goes_before_it(stack: str) -> None:
    """A finished pod of a schedule still counts as a user of its volumes: a claim deleted before it waits for ever."""
    recording = recorded(stack)
    before = _before(stack)
    claims = {
        resource.outputs["metadata"]["name"]: resource.urn
        for resource in recording.resources
        if resource.is_kubernetes and resource.inputs["kind"] == "PersistentVolumeClaim"
    }
    seen = 0
    for resource in recording.resources:
        for _, template in pod_templates(dataclasses.replace(recording, resources=[resource])):
            for volume in template["spec"].get("volumes", []):
                if "persistentVolumeClaim" in volume:
                    seen += 1
                    name = volume["persistentVolumeClaim"]["claimName"]
                    assert claims[name] in before[resource.urn], (resource.name, name)
    assert seen >= 4
