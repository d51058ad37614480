"""Rules over the recorded graph of a stack: each takes a recording and gives one line per violation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from support.recorder import containers, pod_templates

from infra.workloads.namespaces import EXEMPT
from ops.stack.recording import STAND_IN, Recording, Resource

LONG_RUNNING: Final = ("Deployment", "StatefulSet", "DaemonSet")
TALKS_TO_THE_API_SERVER: Final = {"ingress", "prometheus", "kube-state-metrics"}
HOLDS_STATE: Final = (
    "kubernetes:core/v1:PersistentVolumeClaim",
    "random:index/randomPassword:RandomPassword",
    "tls:index/privateKey:PrivateKey",
)
MAY_HOLD_SECRETS: Final = (
    *HOLDS_STATE,
    "aws:secretsmanager/secretVersion:SecretVersion",
    "kubernetes:core/v1:Secret",
    "tls:index/selfSignedCert:SelfSignedCert",
)
IMAGE: Final = re.compile(r"^[a-z0-9./-]+:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]*)(?P<digest>@sha256:[0-9a-f]{64})?$")


def _objects(recording: Recording, *kinds: str) -> Iterator[Resource]:
    return (item for item in recording.resources if item.is_kubernetes and item.inputs["kind"] in kinds)


def _label(resource: Resource) -> str:
    return f"{resource.inputs['kind']}/{resource.outputs['metadata']['name']}"


def wildcard_rbac(recording: Recording) -> list[str]:
    """No `*`, no way to more rights, no Secrets of the whole cluster."""
    found = []
    for role in _objects(recording, "Role", "ClusterRole"):
        for rule in role.inputs["rules"]:
            words = {
                word for key in ("verbs", "resources", "apiGroups", "nonResourceURLs") for word in rule.get(key, [])
            }
            bad = {word for word in words if "*" in word} | words & {"escalate", "bind", "impersonate"}
            if role.inputs["kind"] == "ClusterRole":
                bad |= words & {"secrets"}
            found += [f"{_label(role)}: {word}" for word in sorted(bad)]
    return found


def bounded_resources(recording: Recording) -> list[str]:
    """Every container asks for CPU and memory and has a limit of both."""
    return [
        f"{owner} {container['name']}: {kind} {resource}"
        for owner, template in pod_templates(recording)
        for container in containers(template)
        for kind in ("requests", "limits")
        for resource in ("cpu", "memory")
        if resource not in container.get("resources", {}).get(kind, {})
    ]


def probed(recording: Recording) -> list[str]:
    """Every server has a readiness and a liveness probe, and they differ in what they ask or how long they wait."""
    found = []
    for owner, template in pod_templates(recording):
        if owner.split("/")[0] in LONG_RUNNING:
            for container in template["spec"]["containers"]:
                missing = [probe for probe in ("readinessProbe", "livenessProbe") if probe not in container]
                found += [f"{owner} {container['name']}: {probe}" for probe in missing]
    return found


def pod_security(recording: Recording) -> list[str]:
    """Every namespace enforces `restricted`, but for those with a reason."""
    found = []
    for namespace in _objects(recording, "Namespace"):
        name, labels = namespace.outputs["metadata"]["name"], namespace.inputs["metadata"]["labels"]
        level = labels.get("pod-security.kubernetes.io/enforce")
        if level != "restricted" and name not in EXEMPT:
            found.append(f"{name}: {level}")
    return found


def hardened(recording: Recording) -> list[str]:
    """Non-root with a numeric user, read-only root, no capability, no escalation, seccomp; also where exempt."""
    found = []
    for owner, template in pod_templates(recording):
        context = template["spec"]["securityContext"]
        if not (context.get("runAsNonRoot") and context.get("runAsUser") and context.get("seccompProfile")):
            found.append(f"{owner}: pod context {context}")
        for container in containers(template):
            own = container.get("securityContext", {})
            wanted = {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }
            found += [f"{owner} {container['name']}: {key}" for key, value in wanted.items() if own.get(key) != value]
    return found


def budgets_let_drain(recording: Recording) -> list[str]:
    """A disruption budget always leaves one pod to evict: below the autoscaler's minimum, below the replicas."""
    scaled = {
        item.inputs["spec"]["scaleTargetRef"]["name"]: item for item in _objects(recording, "HorizontalPodAutoscaler")
    }
    replicas = {
        item.outputs["metadata"]["name"]: item.inputs["spec"].get("replicas")
        for item in _objects(recording, *LONG_RUNNING)
    }
    found = []
    for budget in _objects(recording, "PodDisruptionBudget"):
        name, spec = budget.outputs["metadata"]["name"], budget.inputs["spec"]
        least = scaled[name].inputs["spec"]["minReplicas"] if name in scaled else replicas.get(name)
        if least is None or spec.get("minAvailable", 0) >= least or spec.get("maxUnavailable", 1) < 1:
            found.append(f"{name}: {spec} of {least}")
    return found


def autoscaler_owns_replicas(recording: Recording) -> list[str]:
    """No `replicas` where an autoscaler sets them, and the autoscaler's range is one."""
    found = []
    for scaler in _objects(recording, "HorizontalPodAutoscaler"):
        spec = scaler.inputs["spec"]
        target = next(
            (
                item
                for item in _objects(recording, spec["scaleTargetRef"]["kind"])
                if item.outputs["metadata"]["name"] == spec["scaleTargetRef"]["name"]
            ),
            None,
        )
        if target is None:
            found.append(f"{_label(scaler)}: no target")
        elif "replicas" in target.inputs["spec"]:
            found.append(f"{_label(target)}: replicas {target.inputs['spec']['replicas']}")
        if spec["minReplicas"] > spec["maxReplicas"]:
            found.append(f"{_label(scaler)}: {spec['minReplicas']} to {spec['maxReplicas']}")
    return found


def pinned_images(recording: Recording) -> list[str]:
    """A tag that is not `latest`, and in prod a digest."""
    found = []
    for owner, template in pod_templates(recording):
        for container in containers(template):
            match = IMAGE.match(container["image"])
            if match is None or match["tag"] == "latest" or (recording.stack == "prod" and not match["digest"]):
                found.append(f"{owner} {container['name']}: {container['image']}")
    return found


def explicit_provider(recording: Recording) -> list[str]:
    """No resource comes from a default provider, which would take its credentials from wherever it runs."""
    return [
        f"{item.type} {item.name}: {item.provider or 'none'}"
        for item in recording.resources
        if item.custom
        and not item.type.startswith("pulumi:providers:")
        and (not item.provider or "::default" in item.provider)
    ]


def state_is_kept(recording: Recording, *, protect: bool) -> list[str]:
    """What holds data or a secret's value is protected and retained exactly where the stack says so.

    A Kubernetes Secret is a copy, replaced whenever the value changes.
    """
    return [
        f"{item.type} {item.name}: protect {item.protect}, retain {item.retain_on_delete}"
        for item in recording.resources
        if (item.type in HOLDS_STATE or item.inputs.get("spec", {}).get("volumeClaimTemplates"))
        and (item.protect, item.retain_on_delete) != (protect, protect)
    ]


def secrets_are_marked(recording: Recording) -> list[str]:
    """The content of every Secret is secret to the engine, so that its state is encrypted and its output masked."""
    found = []
    for secret in _objects(recording, "Secret"):
        for field in ("data", "stringData"):
            marked = {field, *secret.secret_inputs}
            found += [
                f"{secret.name}: {field}.{key}"
                for key in secret.inputs.get(field, {})
                if field not in secret.secret_inputs and f"{field}.{key}" not in marked
            ]
    found += [
        f"{item.name}: secretString"
        for item in recording.resources
        if item.type == "aws:secretsmanager/secretVersion:SecretVersion" and "secretString" not in item.secret_inputs
    ]
    return found


def secrets_stay_in_secrets(recording: Recording) -> list[str]:
    """No made value is an input of anything but a Secret, nor an environment variable, nor exported unmarked."""
    found = [
        f"{item.type} {item.name}: {path}"
        for item in recording.resources
        if item.type not in MAY_HOLD_SECRETS
        for path in _made_values(item.inputs)
    ]
    found += [f"output {path}" for path in _made_values(recording.outputs) if path not in recording.secret_outputs]
    found += [
        f"{owner} {container['name']}: {variable['name']}"
        for owner, template in pod_templates(recording)
        for container in containers(template)
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    ]
    return found


def _made_values(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, str) and STAND_IN in value:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _made_values(item, f"{path}.{key}" if path else str(key))


def own_service_account(recording: Recording) -> list[str]:
    """A service account per workload, without a token unless the workload talks to the API server."""
    accounts = {
        (item.outputs["metadata"]["namespace"], item.outputs["metadata"]["name"]): item
        for item in _objects(recording, "ServiceAccount")
    }
    found = [
        f"{_label(item)}: token"
        for item in accounts.values()
        if item.inputs.get("automountServiceAccountToken") is not False
    ]
    for owner, template in pod_templates(recording):
        spec, labels = template["spec"], template["metadata"]["labels"]
        workload = labels["app.kubernetes.io/name"]
        if spec["serviceAccountName"] != workload or not any(name == workload for _, name in accounts):
            found.append(f"{owner}: account {spec['serviceAccountName']}")
        if spec.get("automountServiceAccountToken") is not (workload in TALKS_TO_THE_API_SERVER):
            found.append(f"{owner}: token {spec.get('automountServiceAccountToken')}")
    return found


def scheduled_safely(recording: Recording) -> list[str]:
    """Scheduled work says its time zone, never overlaps itself, and ends."""
    found = []
    for job in _objects(recording, "CronJob"):
        spec = job.inputs["spec"]
        wanted = {
            "timeZone": bool(spec.get("timeZone")),
            "concurrencyPolicy": spec.get("concurrencyPolicy") == "Forbid",
            "startingDeadlineSeconds": bool(spec.get("startingDeadlineSeconds")),
            "activeDeadlineSeconds": bool(spec["jobTemplate"]["spec"].get("activeDeadlineSeconds")),
        }
        found += [f"{_label(job)}: {key}" for key, good in wanted.items() if not good]
    return found


def inside_components(recording: Recording) -> list[str]:
    """Only components and providers are children of the stack itself."""
    stack = "pulumi:pulumi:Stack"
    return [
        f"{item.type} {item.name}"
        for item in recording.resources
        if item.custom and not item.type.startswith("pulumi:providers:") and item.parent.split("::")[2] == stack
    ]
