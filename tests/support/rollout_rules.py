"""Rules over the recorded graph on how workloads come up, one line per violation: what `pulumi up` waits for."""

from __future__ import annotations

from typing import Any

from support.recorder import objects, pod_templates

from ops.stack.recording import Recording, Resource

CONTROLLERS = frozenset({"DaemonSet", "Deployment", "StatefulSet"})
TIMEOUT = "pulumi.com/timeoutSeconds"
SKIPPED = "pulumi.com/skipAwait"
DEFAULT_SECONDS = 600
"""Ten minutes for Services and controllers alike (pulumi-kubernetes, `Default*TimeoutMins` in provider/pkg/await)."""

OLD_FIRST = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
"""How a workload is replaced whose pods must not run side by side."""
NEVER_TWO = {
    "kube-state-metrics": "even an ending pod beside the new one would count every object twice",
    "postgres-exporter": "even an ending pod and the new one would hold more connections than the login may have",
}
"""The exporters that go on with ``Recreate``. `churn cluster wait` waits for them; `pulumi up` does not."""


def seconds(resource: Resource) -> int:
    """How long `pulumi up` waits for an object."""
    return int(resource.inputs["metadata"].get("annotations", {}).get(TIMEOUT, DEFAULT_SECONDS))


def services_wait_like_their_workloads(recording: Recording) -> list[str]:
    """A Service that is held back until its pods are ready waits as long as the controller of these pods.

    The provider holds it back while an endpoint is not ready (pulumi-kubernetes PR 3142), except a headless one.
    """
    violations = []
    for service in objects(recording, "Service"):
        spec, metadata = service.inputs["spec"], service.inputs["metadata"]
        if spec.get("clusterIP") == "None" or metadata.get("annotations", {}).get(SKIPPED) == "true":
            continue
        behind = [
            item
            for item in objects(recording, *CONTROLLERS)
            if item.inputs["metadata"]["namespace"] == metadata["namespace"]
            and spec["selector"].items() <= item.inputs["spec"]["template"]["metadata"]["labels"].items()
        ]
        if not behind:
            violations.append(f"{service.name}: no controller makes its pods")
        violations += [
            f"{service.name}: {seconds(service)} s, {item.name}: {seconds(item)} s"
            for item in behind
            if seconds(service) != seconds(item)
        ]
    return violations


def waited_for(recording: Recording) -> list[str]:
    """No Deployment is recreated, since `pulumi up` does not wait for that, but for those of ``NEVER_TWO``."""
    return [
        item.name
        for item in objects(recording, "Deployment")
        if item.inputs["spec"].get("strategy", {}).get("type") == "Recreate"
        and item.inputs["metadata"]["name"] not in NEVER_TWO
    ]


def outlives_a_zone(recording: Recording) -> list[str]:
    """A constraint that pods may wait for ignores nodes with taints, and requires no number of domains.

    Otherwise a zone of dead nodes counts as one without pods, and no further pod is placed in the others (kubernetes
    106127; enhancements 6211 for the number of domains).
    """
    return [
        f"{owner}: {constraint['topologyKey']}"
        for owner, template in pod_templates(recording)
        for constraint in template["spec"].get("topologySpreadConstraints", ())
        if constraint["whenUnsatisfiable"] == "DoNotSchedule"
        and (constraint.get("nodeTaintsPolicy") != "Honor" or "minDomains" in constraint)
    ]


def jobs_are_left_alone(recording: Recording) -> list[str]:
    """Karpenter, and so EKS Auto Mode, evicts no pod of a Job to consolidate nodes."""
    return [
        owner
        for owner, template in pod_templates(recording)
        if owner.partition("/")[0] in {"CronJob", "Job"}
        and template["metadata"].get("annotations", {}).get("karpenter.sh/do-not-disrupt") != "true"
    ]


def companions_start_as_late(recording: Recording) -> list[str]:
    """A container beside the first one of its pod, which it waits for, has at least as long to start."""
    violations = []
    for owner, template in pod_templates(recording):
        first, *others = template["spec"]["containers"]
        violations += [
            f"{owner}: {start_seconds(other)} s of {other['name']}, {start_seconds(first)} s of {first['name']}"
            for other in others
            if start_seconds(other) < start_seconds(first)
        ]
    return violations


def start_seconds(container: dict[str, Any]) -> int:
    """How long a container may take to start until it is restarted."""
    probe = container.get("startupProbe", {})
    return int(probe.get("failureThreshold", 0)) * int(probe.get("periodSeconds", 10))
