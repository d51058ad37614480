"""Hardened pods: the only way this program makes one.

Non-root with a numeric user, a read-only root, no capability, the runtime's seccomp profile, requests and limits, no
service-account token unless the workload talks to the API server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    AffinityArgs,
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    HostPathVolumeSourceArgs,
    LifecycleArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecurityContextArgs,
    SysctlArgs,
    TolerationArgs,
    TopologySpreadConstraintArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.config import Resources
from infra.kit.meta import Annotations, labels, selector
from infra.naming import Workload

ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, kw_only=True)
class Probes:
    """The three probes of a server; None where there is nothing to ask."""

    startup: ProbeArgs | None = None
    readiness: ProbeArgs | None = None
    liveness: ProbeArgs | None = None


NO_PROBES = Probes()
"""Of work that ends by itself: jobs and init containers."""


def resources(wanted: Resources, *, scratch: str = "1Gi") -> ResourceRequirementsArgs:
    """Requests and limits; ``scratch`` bounds what the pod may write outside of its volumes."""
    return ResourceRequirementsArgs(
        requests={"cpu": wanted.cpu_request, "memory": wanted.memory_request, "ephemeral-storage": "64Mi"},
        limits={"cpu": wanted.cpu_limit, "memory": wanted.memory_limit, "ephemeral-storage": scratch},
    )


def container(
    workload: Workload,
    *,
    image: str,
    resources: ResourceRequirementsArgs,
    probes: Probes,
    name: str | None = None,
    command: Sequence[pulumi.Input[str]] | None = None,
    args: Sequence[pulumi.Input[str]] | None = None,
    env: Mapping[str, pulumi.Input[str]] | None = None,
    env_from_fields: Mapping[str, EnvVarArgs] | None = None,
    ports: Mapping[str, int] | None = None,
    mounts: Sequence[VolumeMountArgs] = (),
    lifecycle: LifecycleArgs | None = None,
) -> ContainerArgs:
    """A container of a workload; its ports are the workload's unless told otherwise (an init container has none)."""
    declared = workload.ports if ports is None else ports
    values = [EnvVarArgs(name=key, value=value) for key, value in sorted((env or {}).items())]
    return ContainerArgs(
        name=name or workload.name,
        image=image,
        image_pull_policy="IfNotPresent",
        command=list(command) if command else None,
        args=list(args) if args else None,
        env=[*values, *(env_from_fields or {}).values()] or None,
        ports=[ContainerPortArgs(name=key, container_port=number) for key, number in declared.items()] or None,
        resources=resources,
        startup_probe=probes.startup,
        readiness_probe=probes.readiness,
        liveness_probe=probes.liveness,
        lifecycle=lifecycle,
        volume_mounts=list(mounts) or None,
        security_context=SecurityContextArgs(
            allow_privilege_escalation=False,
            capabilities=CapabilitiesArgs(drop=["ALL"]),
            privileged=False,
            read_only_root_filesystem=True,
            run_as_non_root=True,
            run_as_user=workload.uid,
        ),
    )


def mount(
    volume: str, path: str, *, read_only: bool = True, follow_host: bool = False, folder: str | None = None
) -> VolumeMountArgs:
    """A volume, or one folder of it, in a container; written only where said so.

    ``follow_host`` shows what the host mounts later as well.
    """
    return VolumeMountArgs(
        name=volume,
        mount_path=path,
        sub_path=folder,
        read_only=read_only,
        mount_propagation="HostToContainer" if follow_host else None,
    )


def tmp_mount() -> VolumeMountArgs:
    """The pod's volume `tmp`, where programs put what they do not keep."""
    return mount("tmp", "/tmp", read_only=False)  # noqa: S108 - a path in the pod, on a volume of its own


def empty_dir(name: str, *, size: str) -> VolumeArgs:
    """A bounded scratch volume that ends with the pod."""
    return VolumeArgs(name=name, empty_dir=EmptyDirVolumeSourceArgs(size_limit=size))


def config_volume(name: str, config_map: pulumi.Input[str]) -> VolumeArgs:
    """The files of a ConfigMap."""
    return VolumeArgs(name=name, config_map=ConfigMapVolumeSourceArgs(name=config_map, default_mode=0o444))


def claim_volume(name: str, claim: pulumi.Input[str], *, read_only: bool = False) -> VolumeArgs:
    """A persistent volume by its claim."""
    return VolumeArgs(
        name=name,
        persistent_volume_claim=PersistentVolumeClaimVolumeSourceArgs(claim_name=claim, read_only=read_only),
    )


def host_path_volume(name: str, path: str) -> VolumeArgs:
    """A directory of the node that must exist; only a namespace exempted from Pod Security admits its pod."""
    return VolumeArgs(name=name, host_path=HostPathVolumeSourceArgs(path=path, type="Directory"))


def spread(workload: Workload, *, zones: int) -> list[TopologySpreadConstraintArgs]:
    """Even over zones, which is a must where there are several, and over hosts as far as it goes."""
    by_zone = TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key=ZONE,
        when_unsatisfiable="DoNotSchedule" if zones > 1 else "ScheduleAnyway",
        label_selector=selector(workload),
        match_label_keys=["pod-template-hash"] if zones > 1 else None,
    )
    by_host = TopologySpreadConstraintArgs(
        max_skew=1, topology_key=HOSTNAME, when_unsatisfiable="ScheduleAnyway", label_selector=selector(workload)
    )
    return [by_zone, by_host]


def pod(
    workload: Workload,
    *,
    containers: Sequence[ContainerArgs],
    init_containers: Sequence[ContainerArgs] = (),
    volumes: Sequence[VolumeArgs] = (),
    token: bool = False,
    grace_seconds: int = 30,
    restart_policy: str = "Always",
    spread_over: Sequence[TopologySpreadConstraintArgs] = (),
    affinity: AffinityArgs | None = None,
    node_selector: Mapping[str, str] | None = None,
    tolerations: Sequence[TolerationArgs] = (),
    annotations: Annotations | None = None,
    sysctls: Mapping[str, str] | None = None,
) -> PodTemplateSpecArgs:
    """The pod of a workload, run by its own service account."""
    return PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(labels=labels(workload), annotations=dict(annotations or {}) or None),
        spec=PodSpecArgs(
            service_account_name=workload.name,
            automount_service_account_token=token,
            enable_service_links=False,
            restart_policy=restart_policy,
            termination_grace_period_seconds=grace_seconds,
            security_context=PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=workload.uid,
                run_as_group=workload.uid,
                fs_group=workload.uid,
                fs_group_change_policy="OnRootMismatch",
                seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
                sysctls=[SysctlArgs(name=key, value=value) for key, value in (sysctls or {}).items()] or None,
            ),
            containers=list(containers),
            init_containers=list(init_containers) or None,
            volumes=list(volumes) or None,
            topology_spread_constraints=list(spread_over) or None,
            affinity=affinity,
            node_selector=dict(node_selector) if node_selector else None,
            tolerations=list(tolerations) or None,
        ),
    )
