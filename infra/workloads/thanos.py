"""Thanos: all replicas of Prometheus as one, with metrics kept in a bucket for longer than on a volume.

A sidecar beside each Prometheus uploads its blocks; the store reads them back, the compactor merges, downsamples and
expires them, and the query answers Grafana from sidecars and store together, with each series once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, StatefulSet, StatefulSetSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgs,
    ContainerPortArgs,
    PodSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)

from infra.config import Resources, ThanosSettings
from infra.kit import pod, probes
from infra.kit.meta import named, selector, unnamed
from infra.kit.options import child, stateful
from infra.naming import PROMETHEUS, THANOS_COMPACT, THANOS_QUERY, THANOS_STORE, Workload
from infra.parts.budget import one_at_a_time
from infra.parts.claim import TEMPLATES, Disk, claim_template, claims_of_pods, retained
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip
from infra.workloads import thanos_programs as programs

DATA: Final = "/var/thanos"
START_SECONDS: Final = 300
"""How long a program of Thanos may take to start, once what it needs is there."""
SIDECAR: Final = "thanos-sidecar"
"""The container beside each Prometheus, and the job under which that Prometheus scrapes it."""
STORE_GIB: Final = 10
"""Volume of the store, which caches the index of the blocks in the bucket."""
SIZES: Final[Mapping[str, Resources]] = {
    THANOS_QUERY.name: Resources(cpu_request="100m", cpu_limit="1", memory_request="256Mi", memory_limit="1Gi"),
    THANOS_STORE.name: Resources(cpu_request="100m", cpu_limit="1", memory_request="512Mi", memory_limit="2Gi"),
    THANOS_COMPACT.name: Resources(cpu_request="100m", cpu_limit="1", memory_request="512Mi", memory_limit="2Gi"),
}


@dataclass(frozen=True, kw_only=True)
class ThanosArgs:
    """Replicas, retention and size of the compactor's volume."""

    settings: ThanosSettings
    context: Context


@dataclass(frozen=True, kw_only=True)
class _Server:
    """A program of Thanos that has a volume of its own."""

    workload: Workload
    arguments: list[str]
    gib: int
    replicas: int


class Thanos(pulumi.ComponentResource):
    """Query, store and compactor, each with its ServiceAccount, Service and controller."""

    def __init__(self, name: str, args: ThanosArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Thanos", name, {}, opts)
        self._query(f"{name}-query", args)
        store = _Server(
            workload=THANOS_STORE, arguments=programs.store(DATA), gib=STORE_GIB, replicas=args.settings.replicas
        )
        compact = _Server(
            workload=THANOS_COMPACT,
            arguments=programs.compact(DATA, args.settings.retention_days),
            gib=args.settings.storage_gib,
            # Two compactors would merge the same blocks twice.
            replicas=1,
        )
        self._with_volume(f"{name}-store", store, args)
        self._with_volume(f"{name}-compact", compact, args)
        self.register_outputs({})

    def _query(self, name: str, args: ThanosArgs) -> None:
        account = service_account(self, name, THANOS_QUERY, args.context)
        stores = [f"{PROMETHEUS.name}-pods.{PROMETHEUS.namespace}.svc", THANOS_STORE.host]
        spec = PodSpecArgs(
            containers=[_container(THANOS_QUERY, args, programs.query(stores))],
            topology_spread_constraints=pod.spread(THANOS_QUERY, zones=args.context.cloud.zones),
        )
        Deployment(
            f"{name}-deployment",
            metadata=named(THANOS_QUERY),
            spec=DeploymentSpecArgs(
                replicas=args.settings.replicas,
                selector=selector(THANOS_QUERY),
                revision_history_limit=3,
                template=pod.harden(THANOS_QUERY, spec),
            ),
            opts=child(self, after=[account]),
        )
        cluster_ip(self, name, THANOS_QUERY)
        if args.settings.replicas > 1:
            one_at_a_time(self, name, THANOS_QUERY)

    def _with_volume(self, name: str, server: _Server, args: ThanosArgs) -> None:
        workload, replicas = server.workload, server.replicas
        account = service_account(self, name, workload, args.context)
        service = cluster_ip(self, name, workload, kind="headless")
        disk = Disk(context=args.context, gib=server.gib)
        disks = claims_of_pods(self, name, workload, disk, replicas=replicas)
        mounts = [pod.mount("data", DATA, read_only=False), pod.mount("bucket", programs.CONFIG)]
        spec = PodSpecArgs(
            containers=[_container(workload, args, server.arguments, mounts)],
            volumes=[bucket_volume(self, name, workload, args.context)],
            topology_spread_constraints=pod.spread(workload, zones=args.context.cloud.zones),
        )
        StatefulSet(
            f"{name}-statefulset",
            metadata=named(workload),
            spec=StatefulSetSpecArgs(
                replicas=replicas,
                service_name=workload.name,
                selector=selector(workload),
                pod_management_policy="Parallel",
                template=pod.harden(workload, spec),
                volume_claim_templates=[claim_template(disk)],
                persistent_volume_claim_retention_policy=retained(),
            ),
            opts=stateful(self, args.context.state, after=[account, service, *disks], ignore=TEMPLATES),
        )
        if replicas > 1:
            one_at_a_time(self, name, workload)


def bucket_volume(parent: pulumi.Resource, name: str, workload: Workload, context: Context) -> VolumeArgs:
    """Return the volume `bucket` with the file that names the bucket; the pod's own role has access to it.

    Raises:
        ValueError: the stack has no bucket for metrics.
    """
    bucket, region = context.cloud.metrics_bucket, context.cloud.region
    if bucket is None or region is None:
        raise ValueError("Thanos needs a bucket for metrics, which this stack does not have")
    content = pulumi.Output.from_input(bucket).apply(lambda known: programs.bucket(known, region))
    config_map = ConfigMap(
        f"{name}-bucket", metadata=unnamed(workload), data={programs.BUCKET_FILE: content}, opts=child(parent)
    )
    return pod.config_volume("bucket", config_map.metadata.name)


def sidecar(context: Context, data: str, *, replay_seconds: int) -> ContainerArgs:
    """Return the container beside a Prometheus that serves its data and uploads each complete block.

    It is not ready before Prometheus is, which may read its log for ``replay_seconds`` first. A sidecar that gave up
    earlier would be restarted, and in the end hold its pod back by the delays between restarts.
    """
    return ContainerArgs(
        name=SIDECAR,
        image=context.images.reference("thanos"),
        resources=pod.resources(
            Resources(cpu_request="50m", cpu_limit="500m", memory_request="128Mi", memory_limit="512Mi")
        ),
        startup_probe=probes.http(
            "/-/ready", port=programs.HTTP_PORT_NAME, period_seconds=5, failures=(replay_seconds + START_SECONDS) // 5
        ),
        readiness_probe=probes.http("/-/ready", port=programs.HTTP_PORT_NAME),
        liveness_probe=probes.http("/-/healthy", port=programs.HTTP_PORT_NAME),
        args=programs.sidecar(data, PROMETHEUS.ports["http"]),
        ports=[
            ContainerPortArgs(name=programs.HTTP_PORT_NAME, container_port=programs.HTTP),
            ContainerPortArgs(name=programs.GRPC_PORT_NAME, container_port=programs.GRPC),
        ],
        volume_mounts=[pod.mount("data", data, read_only=False), pod.mount("bucket", programs.CONFIG)],
    )


def _container(
    workload: Workload,
    args: ThanosArgs,
    arguments: Sequence[str],
    mounts: Sequence[VolumeMountArgs] = (),
) -> ContainerArgs:
    return ContainerArgs(
        name=workload.name,
        image=args.context.images.reference("thanos"),
        resources=pod.resources(SIZES[workload.name]),
        startup_probe=probes.http("/-/ready", period_seconds=5, failures=START_SECONDS // 5),
        readiness_probe=probes.http("/-/ready"),
        liveness_probe=probes.http("/-/healthy"),
        args=list(arguments),
        volume_mounts=list(mounts),
    )
