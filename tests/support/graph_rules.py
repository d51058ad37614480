"""Rules over the recorded graph of a stack: each takes a recording and returns one line per violation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from support.image_traits import needed_capabilities
from support.recorder import containers, objects, pod_templates

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
    "kubernetes:core/v1:Secret",
    "tls:index/selfSignedCert:SelfSignedCert",
)
IMAGE: Final = re.compile(r"^[a-z0-9./-]+:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]*)(?P<digest>@sha256:[0-9a-f]{64})?$")


def _label(resource: Resource) -> str:
    return f"{resource.inputs['kind']}/{resource.outputs['metadata']['name']}"


def wildcard_rbac(recording: Recording) -> list[str]:
    """No role has a `*` or a way to gain rights, and no cluster role reads Secrets."""
    violations = []
    for role in objects(recording, "Role", "ClusterRole"):
        for rule in role.inputs["rules"]:
            words = {
                word for key in ("verbs", "resources", "apiGroups", "nonResourceURLs") for word in rule.get(key, [])
            }
            bad = {word for word in words if "*" in word} | words & {"escalate", "bind", "impersonate"}
            if role.inputs["kind"] == "ClusterRole":
                bad |= words & {"secrets"}
            violations += [f"{_label(role)}: {word}" for word in sorted(bad)]
    return violations


def bounded_resources(recording: Recording) -> list[str]:
    """Every container requests CPU and memory and has a limit for both."""
    return [
        f"{owner} {container['name']}: {kind} {resource}"
        for owner, template in pod_templates(recording)
        for container in containers(template)
        for kind in ("requests", "limits")
        for resource in ("cpu", "memory")
        if resource not in container.get("resources", {}).get(kind, {})
    ]


def probed(recording: Recording) -> list[str]:
    """Every container of a long-running workload has a readiness and a liveness probe."""
    violations = []
    for owner, template in pod_templates(recording):
        if owner.split("/")[0] in LONG_RUNNING:
            for container in template["spec"]["containers"]:
                missing = [probe for probe in ("readinessProbe", "livenessProbe") if probe not in container]
                violations += [f"{owner} {container['name']}: {probe}" for probe in missing]
    return violations


def pod_security(recording: Recording) -> list[str]:
    """Every namespace enforces `restricted`, except those that are exempt with a reason."""
    violations = []
    for namespace in objects(recording, "Namespace"):
        name, labels = namespace.outputs["metadata"]["name"], namespace.inputs["metadata"]["labels"]
        level = labels.get("pod-security.kubernetes.io/enforce")
        if level != "restricted" and name not in EXEMPT:
            violations.append(f"{name}: {level}")
    return violations


def hardened(recording: Recording) -> list[str]:
    """Non-root with a numeric user, read-only root, no escalation, seccomp; in exempt namespaces too.

    No capability, but that which the image's program needs to start.
    """
    violations = []
    for owner, template in pod_templates(recording):
        context = template["spec"]["securityContext"]
        if not (context.get("runAsNonRoot") and context.get("runAsUser") and context.get("seccompProfile")):
            violations.append(f"{owner}: pod context {context}")
        for container in containers(template):
            own = container.get("securityContext", {})
            added = needed_capabilities(container)
            settings = {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"], **({"add": added} if added else {})},
            }
            violations += [
                f"{owner} {container['name']}: {key}" for key, value in settings.items() if own.get(key) != value
            ]
    return violations


def budgets_let_drain(recording: Recording) -> list[str]:
    """A disruption budget always allows one eviction: it is below the autoscaler's minimum or the replicas."""
    scaled = {
        item.inputs["spec"]["scaleTargetRef"]["name"]: item for item in objects(recording, "HorizontalPodAutoscaler")
    }
    replicas = {
        item.outputs["metadata"]["name"]: item.inputs["spec"].get("replicas")
        for item in objects(recording, *LONG_RUNNING)
    }
    violations = []
    for budget in objects(recording, "PodDisruptionBudget"):
        name, spec = budget.outputs["metadata"]["name"], budget.inputs["spec"]
        least = scaled[name].inputs["spec"]["minReplicas"] if name in scaled else replicas.get(name)
        if least is None or spec.get("minAvailable", 0) >= least or spec.get("maxUnavailable", 1) < 1:
            violations.append(f"{name}: {spec} of {least}")
    return violations


def autoscaler_owns_replicas(recording: Recording) -> list[str]:
    """No `replicas` where an autoscaler sets them, and the autoscaler's minimum does not exceed its maximum."""
    violations = []
    for scaler in objects(recording, "HorizontalPodAutoscaler"):
        spec = scaler.inputs["spec"]
        target = next(
            (
                item
                for item in objects(recording, spec["scaleTargetRef"]["kind"])
                if item.outputs["metadata"]["name"] == spec["scaleTargetRef"]["name"]
            ),
            None,
        )
        if target is None:
            violations.append(f"{_label(scaler)}: no target")
        elif "replicas" in target.inputs["spec"]:
            violations.append(f"{_label(target)}: replicas {target.inputs['spec']['replicas']}")
        if spec["minReplicas"] > spec["maxReplicas"]:
            violations.append(f"{_label(scaler)}: {spec['minReplicas']} to {spec['maxReplicas']}")
    return violations


def pinned_images(recording: Recording) -> list[str]:
    """Every image has a tag other than `latest`, and in prod a digest."""
    violations = []
    for owner, template in pod_templates(recording):
        for container in containers(template):
            match = IMAGE.match(container["image"])
            if match is None or match["tag"] == "latest" or (recording.stack == "prod" and not match["digest"]):
                violations.append(f"{owner} {container['name']}: {container['image']}")
    return violations


def explicit_provider(recording: Recording) -> list[str]:
    """No resource uses a default provider, which would take its credentials from wherever the program runs."""
    return [
        f"{item.type} {item.name}: {item.provider or 'none'}"
        for item in recording.resources
        if item.custom
        and not item.type.startswith("pulumi:providers:")
        and (not item.provider or "::default" in item.provider)
    ]


def state_is_kept(recording: Recording, *, protect: bool) -> list[str]:
    """Whatever holds data or a secret's value is protected and retained exactly where the stack says so.

    A Kubernetes Secret is a copy, replaced whenever the value changes.
    """
    return [
        f"{item.type} {item.name}: protect {item.protect}, retain {item.retain_on_delete}"
        for item in recording.resources
        if (item.type in HOLDS_STATE or item.inputs.get("spec", {}).get("volumeClaimTemplates"))
        and (item.protect, item.retain_on_delete) != (protect, protect)
    ]


def secrets_are_marked(recording: Recording) -> list[str]:
    """Every Secret's content is marked secret, so that the engine encrypts it in its state and masks it in output."""
    violations = []
    for secret in objects(recording, "Secret"):
        for field in ("data", "stringData"):
            marked = {field, *secret.secret_inputs}
            violations += [
                f"{secret.name}: {field}.{key}"
                for key in secret.inputs.get(field, {})
                if field not in secret.secret_inputs and f"{field}.{key}" not in marked
            ]
    violations += [
        f"{item.name}: secretString"
        for item in recording.resources
        if item.type == "aws:secretsmanager/secretVersion:SecretVersion" and "secretString" not in item.secret_inputs
    ]
    return violations


def secrets_stay_in_secrets(recording: Recording) -> list[str]:
    """No generated value is an input of anything but a Secret, an environment variable, or exported without a mark."""
    violations = [
        f"{item.type} {item.name}: {path}"
        for item in recording.resources
        if item.type not in MAY_HOLD_SECRETS
        for path in _generated_values(item.inputs)
    ]
    violations += [
        f"output {path}" for path in _generated_values(recording.outputs) if path not in recording.secret_outputs
    ]
    violations += [
        f"{owner} {container['name']}: {variable['name']}"
        for owner, template in pod_templates(recording)
        for container in containers(template)
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    ]
    return violations


def _generated_values(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, str) and STAND_IN in value:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _generated_values(item, f"{path}.{key}" if path else str(key))


def own_service_account(recording: Recording) -> list[str]:
    """Each workload has its own service account, without a token unless the workload talks to the API server."""
    accounts = {
        (item.outputs["metadata"]["namespace"], item.outputs["metadata"]["name"]): item
        for item in objects(recording, "ServiceAccount")
    }
    violations = [
        f"{_label(item)}: token"
        for item in accounts.values()
        if item.inputs.get("automountServiceAccountToken") is not False
    ]
    for owner, template in pod_templates(recording):
        spec, labels = template["spec"], template["metadata"]["labels"]
        workload = labels["app.kubernetes.io/name"]
        if spec["serviceAccountName"] != workload or not any(name == workload for _, name in accounts):
            violations.append(f"{owner}: account {spec['serviceAccountName']}")
        if spec.get("automountServiceAccountToken") is not (workload in TALKS_TO_THE_API_SERVER):
            violations.append(f"{owner}: token {spec.get('automountServiceAccountToken')}")
    return violations


def scheduled_safely(recording: Recording) -> list[str]:
    """Every CronJob has a time zone and deadlines, and never overlaps itself."""
    violations = []
    for job in objects(recording, "CronJob"):
        spec = job.inputs["spec"]
        checks = {
            "timeZone": bool(spec.get("timeZone")),
            "concurrencyPolicy": spec.get("concurrencyPolicy") == "Forbid",
            "startingDeadlineSeconds": bool(spec.get("startingDeadlineSeconds")),
            "activeDeadlineSeconds": bool(spec["jobTemplate"]["spec"].get("activeDeadlineSeconds")),
        }
        violations += [f"{_label(job)}: {key}" for key, good in checks.items() if not good]
    return violations


def jobs_run_again(recording: Recording) -> list[str]:
    """A Job that `up` waits for runs again after a failure, has a time limit there, and is not removed by itself."""
    violations = []
    for job in objects(recording, "Job"):
        annotations = job.inputs["metadata"].get("annotations", {})
        checks = {
            "replaceUnready": annotations.get("pulumi.com/replaceUnready") == "true",
            "timeoutSeconds": "pulumi.com/timeoutSeconds" in annotations,
            "ttlSecondsAfterFinished": "ttlSecondsAfterFinished" not in job.inputs["spec"],
        }
        violations += [f"{_label(job)}: {key}" for key, good in checks.items() if not good]
    return violations


def inside_components(recording: Recording) -> list[str]:
    """Only components and providers are direct children of the stack."""
    stack = "pulumi:pulumi:Stack"
    return [
        f"{item.type} {item.name}"
        for item in recording.resources
        if item.custom and not item.type.startswith("pulumi:providers:") and item.parent.split("::")[2] == stack
    ]
