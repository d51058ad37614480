"""Thanos: all replicas of Prometheus as one, and their metrics kept in a bucket for longer than a volume could.

A sidecar beside each Prometheus uploads its blocks; the store reads them back, the compactor merges and ages them, and
the query answers Grafana from sidecars and store together, each series once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, StatefulSet, StatefulSetSpecArgs
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgs, VolumeArgs

from infra.config import Resources, ThanosSettings
from infra.kit import pod, probes, thanos
from infra.kit.meta import named, selector, unnamed
from infra.kit.options import child, stateful
from infra.naming import PROMETHEUS, THANOS_COMPACT, THANOS_QUERY, THANOS_STORE, Workload
from infra.parts.budget import one_at_a_time
from infra.parts.claim import claim_template, claims_of_pods, retained
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip

DATA: Final = "/var/thanos"
STORE_GIB: Final = 10
"""Of the store, which keeps the index of what it has read."""
SIZES: Final[Mapping[str, Resources]] = {
    THANOS_QUERY.name: Resources(cpu_request="100m", cpu_limit="1", memory_request="256Mi", memory_limit="1Gi"),
    THANOS_STORE.name: Resources(cpu_request="100m", cpu_limit="1", memory_request="512Mi", memory_limit="2Gi"),
    THANOS_COMPACT.name: Resources(cpu_request="100m", cpu_limit="1", memory_request="512Mi", memory_limit="2Gi"),
}


@dataclass(frozen=True, kw_only=True)
class ThanosArgs:
    """Replicas, retention and size."""

    settings: ThanosSettings
    context: Context


class Thanos(pulumi.ComponentResource):
    """Query, store and compactor, each with its ServiceAccount, Service and controller."""

    def __init__(self, name: str, args: ThanosArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Thanos", name, {}, opts)
        self._query(f"{name}-query", args)
        # Everybody who wants the blocks asks each of them.
        replicas = args.settings.replicas
        self._with_volume(f"{name}-store", THANOS_STORE, args, thanos.store(DATA), gib=STORE_GIB, replicas=replicas)
        compact = thanos.compact(DATA, args.settings.retention_days)
        # Two at once would merge the same blocks twice.
        self._with_volume(f"{name}-compact", THANOS_COMPACT, args, compact, gib=args.settings.storage_gib, replicas=1)
        self.register_outputs({})

    def _query(self, name: str, args: ThanosArgs) -> None:
        account = service_account(self, name, THANOS_QUERY, args.context.cloud.roles)
        stores = [f"{PROMETHEUS.name}-pods.{PROMETHEUS.namespace}.svc", THANOS_STORE.host]
        Deployment(
            f"{name}-deployment",
            metadata=named(THANOS_QUERY),
            spec=DeploymentSpecArgs(
                replicas=args.settings.replicas,
                selector=selector(THANOS_QUERY),
                revision_history_limit=3,
                template=pod.pod(
                    THANOS_QUERY,
                    containers=[_container(THANOS_QUERY, args, thanos.query(stores))],
                    spread_over=pod.spread(THANOS_QUERY, zones=args.context.cloud.zones),
                ),
            ),
            opts=child(self, after=[account]),
        )
        cluster_ip(self, name, THANOS_QUERY)
        if args.settings.replicas > 1:
            one_at_a_time(self, name, THANOS_QUERY)

    def _with_volume(
        self, name: str, workload: Workload, args: ThanosArgs, arguments: list[str], *, gib: int, replicas: int
    ) -> None:
        account = service_account(self, name, workload, args.context.cloud.roles)
        service = cluster_ip(self, name, workload, headless=True)
        disks = claims_of_pods(self, name, workload, args.context, gib=gib, replicas=replicas)
        mounts = {"data": (DATA, False), "bucket": (thanos.CONFIG, True)}
        container = _container(workload, args, arguments, mounts)
        StatefulSet(
            f"{name}-statefulset",
            metadata=named(workload),
            spec=StatefulSetSpecArgs(
                replicas=replicas,
                service_name=workload.name,
                selector=selector(workload),
                pod_management_policy="Parallel",
                template=pod.pod(
                    workload,
                    containers=[container],
                    volumes=[bucket_volume(self, name, workload, args.context)],
                    spread_over=pod.spread(workload, zones=args.context.cloud.zones),
                ),
                volume_claim_templates=[claim_template(args.context)],
                persistent_volume_claim_retention_policy=retained(),
            ),
            opts=stateful(self, args.context.state, after=[account, service, *disks]),
        )
        if replicas > 1:
            one_at_a_time(self, name, workload)


def bucket_volume(parent: pulumi.Resource, name: str, workload: Workload, context: Context) -> VolumeArgs:
    """The volume `bucket` with the file that says where blocks are kept; credentials are the pod's own role.

    Raises:
        ValueError: the stack has no bucket for metrics.
    """
    bucket, region = context.cloud.metrics_bucket, context.cloud.region
    if bucket is None or region is None:
        raise ValueError("Thanos needs a bucket for metrics")
    content = pulumi.Output.from_input(bucket).apply(lambda known: thanos.bucket(known, region))
    made = ConfigMap(
        f"{name}-bucket", metadata=unnamed(workload), data={thanos.BUCKET_FILE: content}, opts=child(parent)
    )
    return pod.config_volume("bucket", made.metadata.name)


def sidecar(context: Context, data: str) -> ContainerArgs:
    """Beside a Prometheus: answers for what it has, and uploads each block once it is complete."""
    return pod.container(
        PROMETHEUS,
        name="thanos-sidecar",
        image=context.images.reference("thanos"),
        resources=pod.resources(
            Resources(cpu_request="50m", cpu_limit="500m", memory_request="128Mi", memory_limit="512Mi")
        ),
        probes=_probes(thanos.HTTP_PORT_NAME),
        args=thanos.sidecar(data, PROMETHEUS.ports["http"]),
        ports={thanos.HTTP_PORT_NAME: thanos.HTTP, thanos.GRPC_PORT_NAME: thanos.GRPC},
        mounts=[pod.mount("data", data, read_only=False), pod.mount("bucket", thanos.CONFIG)],
    )


def _probes(port: str) -> pod.Probes:
    return pod.Probes(
        startup=probes.http("/-/ready", port=port, period_seconds=5, failures=60),
        readiness=probes.http("/-/ready", port=port),
        liveness=probes.http("/-/healthy", port=port),
    )


def _container(
    workload: Workload,
    args: ThanosArgs,
    arguments: Sequence[str],
    mounts: Mapping[str, tuple[str, bool]] | None = None,
) -> ContainerArgs:
    return pod.container(
        workload,
        image=args.context.images.reference("thanos"),
        resources=pod.resources(SIZES[workload.name]),
        probes=_probes("http"),
        args=list(arguments),
        mounts=[pod.mount(volume, path, read_only=only) for volume, (path, only) in (mounts or {}).items()],
    )
