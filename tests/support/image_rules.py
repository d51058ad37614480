"""Rules over the recorded graph about where images come from: each returns one line per violation."""

from __future__ import annotations

from typing import Final

from support.recorder import containers, pod_templates

from infra.parts.pull_secret import PULL_SECRET
from ops.stack.recording import Recording

WITH_PODS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


def from_these_registries(recording: Recording, *registries: str) -> list[str]:
    """Every image of every pod, of init containers and scheduled jobs too, is pulled from one of these registries."""
    return [
        f"{owner} {container['name']}: {container['image']}"
        for owner, template in pod_templates(recording)
        for container in containers(template)
        if not container["image"].startswith(tuple(f"{registry}/" for registry in registries))
    ]


def with_a_pull_secret(recording: Recording) -> list[str]:
    """Every pod's service account names the login, and its namespace has it.

    Kubernetes adds the account's reference to each pod that has none of its own, when the pod is created.
    """
    objects = [item for item in recording.resources if item.is_kubernetes]
    logins = {
        item.outputs["metadata"]["namespace"]: item
        for item in objects
        if item.inputs["kind"] == "Secret" and item.outputs["metadata"]["name"] == PULL_SECRET
    }
    accounts = {
        (item.outputs["metadata"]["namespace"], item.outputs["metadata"]["name"]): item
        for item in objects
        if item.inputs["kind"] == "ServiceAccount"
    }
    violations = []
    for item in objects:
        if item.inputs["kind"] not in WITH_PODS:
            continue
        holder = item.inputs["spec"].get("jobTemplate", item.inputs)
        template = holder["spec"]["template"]
        namespace, label = item.outputs["metadata"]["namespace"], f"{item.inputs['kind']}/{item.name}"
        spec = template["spec"]
        account = accounts[namespace, spec["serviceAccountName"]]
        if account.inputs.get("imagePullSecrets") != [{"name": PULL_SECRET}]:
            violations.append(f"{label}: {account.name} has no login")
        if spec.get("imagePullSecrets"):
            violations.append(f"{label}: its own logins hide that of the account")
        if namespace not in logins:
            violations.append(f"{label}: {namespace} has no login")
    for namespace, login in logins.items():
        if login.inputs["type"] != "kubernetes.io/dockerconfigjson" or "stringData" not in login.secret_inputs:
            violations.append(f"{namespace}: the login is no secret login of a registry")
    return violations
