"""kube-state-metrics: the state of our workloads (replicas, restarts, jobs, volumes) as metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from infra.config import Resources
from infra.kit import pod, probes
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import KUBE_STATE_METRICS, NAMESPACES
from infra.parts import access
from infra.parts.context import Context
from infra.parts.identity import service_account

EXPORTED: Final = {
    "": ("persistentvolumeclaims", "pods", "resourcequotas"),
    "apps": ("daemonsets", "deployments", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "policy": ("poddisruptionbudgets",),
}
"""Resources by API group. All of them are namespaced: version 2.19 counts a cluster-wide resource once for each
namespace that it is limited to. Nodes are covered by their kubelet and by node-exporter."""
SIZE: Final = Resources(cpu_request="20m", cpu_limit="200m", memory_request="64Mi", memory_limit="256Mi")


@dataclass(frozen=True, kw_only=True)
class KubeStateMetricsArgs:
    """What the component needs to know about its stack."""

    context: Context


class KubeStateMetrics(pulumi.ComponentResource):
    """ServiceAccount with a role in each namespace, and Deployment; Prometheus finds its pod without a Service."""

    def __init__(self, name: str, args: KubeStateMetricsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:KubeStateMetrics", name, {}, opts)
        account = service_account(self, name, KUBE_STATE_METRICS, args.context)
        rules = [
            PolicyRuleArgs(api_groups=[group], resources=list(resources), verbs=["list", "watch"])
            for group, resources in EXPORTED.items()
        ]
        bindings = [access.in_namespace(self, name, KUBE_STATE_METRICS, namespace, rules) for namespace in NAMESPACES]
        self._deployment(name, args, [account, *bindings])
        self.register_outputs({})

    def _deployment(self, name: str, args: KubeStateMetricsArgs, after: list[pulumi.Resource]) -> None:
        Deployment(
            f"{name}-deployment",
            metadata=named(KUBE_STATE_METRICS),
            spec=DeploymentSpecArgs(
                replicas=1,
                selector=selector(KUBE_STATE_METRICS),
                revision_history_limit=3,
                # Two pods at once would count every object twice.
                strategy=DeploymentStrategyArgs(type="Recreate"),
                template=pod.harden(
                    KUBE_STATE_METRICS,
                    PodSpecArgs(containers=[_container(args)], automount_service_account_token=True),
                ),
            ),
            opts=child(self, after=after),
        )


def _container(args: KubeStateMetricsArgs) -> ContainerArgs:
    ports = KUBE_STATE_METRICS.ports
    resources = sorted(resource for group in EXPORTED.values() for resource in group)
    return ContainerArgs(
        name=KUBE_STATE_METRICS.name,
        image=args.context.images.reference("kube-state-metrics"),
        resources=pod.resources(SIZE),
        startup_probe=probes.http("/readyz", port="telemetry", period_seconds=2, failures=30),
        readiness_probe=probes.http("/readyz", port="telemetry"),
        # Not /livez, which asks the API server: a restart here would not bring the API server back.
        liveness_probe=probes.http("/healthz"),
        args=[
            f"--port={ports['http']}",
            f"--telemetry-port={ports['telemetry']}",
            f"--resources={','.join(resources)}",
            f"--namespaces={','.join(NAMESPACES)}",
        ],
    )
