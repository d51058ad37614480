"""The most that a stack can reach: what its pods cost at rest and with the autoscaler at its maximum, and the like."""

from __future__ import annotations

from functools import cache
from typing import Final

from support.recorder import find, recorded

from infra import prices
from infra.naming import INGRESS_NAMESPACE, SERVING
from ops.stack.demand import quantity

SERIES_BYTES: Final = 8192
"""Memory of one active series, by the rule of thumb of Prometheus' maintainers (prometheus/prometheus issue 4553)."""


def series_in(memory: str) -> float:
    """How many series a Prometheus with this much memory holds before it is killed."""
    return quantity(memory) / SERIES_BYTES


@cache
def _months(stack: str) -> tuple[tuple[str, float, int, int], ...]:
    """For each kind of long-running pods: namespace, dollars a month of one, the least and the highest number."""
    resources = [item for item in recorded(stack).resources if item.is_kubernetes]
    scaled = {
        item.inputs["spec"]["scaleTargetRef"]["name"]: item.inputs["spec"]
        for item in resources
        if item.inputs["kind"] == "HorizontalPodAutoscaler"
    }
    lines = []
    for item in resources:
        if item.inputs["kind"] not in {"DaemonSet", "Deployment", "StatefulSet"}:
            continue
        meta, spec = item.outputs["metadata"], item.inputs["spec"]
        requests = [container["resources"]["requests"] for container in spec["template"]["spec"]["containers"]]
        usd = prices.pod_month(
            vcpus=sum(quantity(each["cpu"]) for each in requests),
            memory_gib=sum(quantity(each["memory"]) for each in requests) / prices.GIB,
        )
        fixed = spec.get("replicas") or 1
        range_of = scaled.get(meta["name"], {"minReplicas": fixed, "maxReplicas": fixed})
        lines.append((meta["namespace"], usd, int(range_of["minReplicas"]), int(range_of["maxReplicas"])))
    return tuple(lines)


def pods_month(stack: str, *, busy: bool) -> float:
    """Dollars a month of all long-running pods; busy, with the autoscaler at its maximum. Nodes count as one."""
    return sum(usd * (most if busy else least) for _, usd, least, most in _months(stack))


def serving_day(stack: str) -> float:
    """Dollars a day of what serves, at rest."""
    return sum(usd * least for place, usd, least, _ in _months(stack) if place in {SERVING, INGRESS_NAMESPACE}) / 30


def rules_of(stack: str) -> dict[str, str]:
    """The rule files that the stack's Prometheus has."""
    files: dict[str, str] = find(recorded(stack), "ConfigMap", "prometheus-rules").inputs["data"]
    return files
