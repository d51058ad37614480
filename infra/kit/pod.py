"""Hardened pods: the only way in which this program makes a pod.

They run as a numeric user other than root, with a read-only root file system and the runtime's seccomp profile, and
without a service-account token unless the workload talks to the API server. They have no capabilities, except one that
the image's binary needs to start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import cast

import pulumi
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    HostPathVolumeSourceArgs,
    ObjectFieldSelectorArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecurityContextArgs,
    SysctlArgs,
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
TMP = "/tmp"  # noqa: S108 - a path in the pod, on a volume of its own
"""Where the pod's volume `tmp` is, for temporary files."""

POD_OWNED = ("security_context", "service_account_name", "service_account", "host_network", "host_pid", "host_ipc")
"""Fields of a pod that only `harden` sets, or that no pod may have."""


def resources(size: Resources, *, scratch: str = "1Gi", reserved: str = "64Mi") -> ResourceRequirementsArgs:
    """Return requests and limits; ``scratch`` bounds what the container may write to the node's disk.

    A pod that may need much of it should have it ``reserved``, or it is placed where it is then evicted.
    """
    return ResourceRequirementsArgs(
        requests={"cpu": size.cpu_request, "memory": size.memory_request, "ephemeral-storage": reserved},
        limits={"cpu": size.cpu_limit, "memory": size.memory_limit, "ephemeral-storage": scratch},
    )


def environment(values: Mapping[str, pulumi.Input[str]]) -> list[EnvVarArgs]:
    """Return the variables in the order of their names, so that no edit of a dictionary rolls a pod."""
    return [EnvVarArgs(name=name, value=value) for name, value in sorted(values.items())]


def pod_field(name: str, path: str) -> EnvVarArgs:
    """Return a variable with a field of the pod itself, such as ``status.podIP``."""
    return EnvVarArgs(name=name, value_from=EnvVarSourceArgs(field_ref=ObjectFieldSelectorArgs(field_path=path)))


def _hardened(workload: Workload, container: ContainerArgs, added: Sequence[str]) -> ContainerArgs:
    """Return the container with the rights of a hardened one and the capabilities ``added``.

    Raises:
        ValueError: the container brings a security context.
    """
    if container.security_context is not None:
        raise ValueError(f"a container of {workload.name} sets security_context, which is set here alone")
    hardened = copy(container)
    if hardened.ports is None:
        hardened.ports = [ContainerPortArgs(name=key, container_port=number) for key, number in workload.ports.items()]
    # An empty list would be rendered as one.
    hardened.ports = hardened.ports or None
    hardened.volume_mounts = hardened.volume_mounts or None
    hardened.image_pull_policy = "IfNotPresent"
    hardened.security_context = SecurityContextArgs(
        allow_privilege_escalation=False,
        capabilities=CapabilitiesArgs(drop=["ALL"], add=list(added) or None),
        privileged=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        run_as_user=workload.uid,
    )
    return hardened


def harden(
    workload: Workload,
    spec: PodSpecArgs,
    *,
    annotations: Annotations | None = None,
    sysctls: Mapping[str, str] | None = None,
    capabilities: Sequence[str] = (),
) -> PodTemplateSpecArgs:
    """Return the pod template of a workload: ``spec``, run by the workload's own service account and user.

    Every container is hardened as well. Its ports are the workload's unless it lists its own; an init container lists
    none: ``ports=[]``. ``capabilities`` are those of the container named like the workload, and of no other.

    Raises:
        ValueError: the spec sets a field of `POD_OWNED`, or a container has a security context.
    """
    for field in POD_OWNED:
        if getattr(spec, field) is not None:
            raise ValueError(f"the pod of {workload.name} sets {field}, which is set here alone")
    hardened = copy(spec)
    containers = cast("Sequence[ContainerArgs]", spec.containers)
    hardened.containers = [
        _hardened(workload, container, capabilities if container.name == workload.name else ())
        for container in containers
    ]
    before = cast("Sequence[ContainerArgs]", spec.init_containers or [])
    hardened.init_containers = [_hardened(workload, container, ()) for container in before] or None
    hardened.service_account_name = workload.name
    if hardened.automount_service_account_token is None:
        hardened.automount_service_account_token = False
    hardened.enable_service_links = False
    hardened.restart_policy = hardened.restart_policy or "Always"
    hardened.termination_grace_period_seconds = hardened.termination_grace_period_seconds or 30
    hardened.security_context = PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=workload.uid,
        run_as_group=workload.uid,
        fs_group=workload.uid,
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
        sysctls=[SysctlArgs(name=key, value=value) for key, value in (sysctls or {}).items()] or None,
    )
    metadata = ObjectMetaArgs(labels=labels(workload), annotations=dict(annotations or {}) or None)
    return PodTemplateSpecArgs(metadata=metadata, spec=hardened)


def mount(
    volume: str, path: str, *, read_only: bool = True, follow_host: bool = False, folder: str | None = None
) -> VolumeMountArgs:
    """Return the mount of a volume, or of one folder of it; read-only unless stated otherwise.

    With ``follow_host`` the container also sees what the host mounts later.
    """
    return VolumeMountArgs(
        name=volume,
        mount_path=path,
        sub_path=folder,
        read_only=read_only,
        mount_propagation="HostToContainer" if follow_host else None,
    )


def tmp_mount() -> VolumeMountArgs:
    """Return the mount of the pod's volume `tmp`."""
    return mount("tmp", TMP, read_only=False)


def empty_dir(name: str, *, size: str) -> VolumeArgs:
    """Return a scratch volume of bounded size that ends with the pod."""
    return VolumeArgs(name=name, empty_dir=EmptyDirVolumeSourceArgs(size_limit=size))


def config_volume(name: str, config_map: pulumi.Input[str]) -> VolumeArgs:
    """Return a volume with the files of a ConfigMap."""
    return VolumeArgs(name=name, config_map=ConfigMapVolumeSourceArgs(name=config_map, default_mode=0o444))


def claim_volume(name: str, claim: pulumi.Input[str], *, read_only: bool = False) -> VolumeArgs:
    """Return the persistent volume of a claim."""
    return VolumeArgs(
        name=name,
        persistent_volume_claim=PersistentVolumeClaimVolumeSourceArgs(claim_name=claim, read_only=read_only),
    )


def host_path_volume(name: str, path: str) -> VolumeArgs:
    """Return an existing directory of the node; only a namespace exempt from Pod Security admits such a pod."""
    return VolumeArgs(name=name, host_path=HostPathVolumeSourceArgs(path=path, type="Directory"))


def spread(workload: Workload, *, zones: int) -> list[TopologySpreadConstraintArgs]:
    """Return constraints that spread pods over zones, strictly where there are several, and over hosts if possible.

    A zone whose nodes all have a taint, because they are dead, cordoned or somebody else's, must not count as an empty
    one, for which every other pod would wait (kubernetes 106127). That needs the nodes' taints to be honored, and no
    least number of zones, which would count the missing one as empty again (enhancements 6211).
    """
    by_zone = TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key=ZONE,
        when_unsatisfiable="DoNotSchedule" if zones > 1 else "ScheduleAnyway",
        label_selector=selector(workload),
        match_label_keys=["pod-template-hash"] if zones > 1 else None,
        node_taints_policy="Honor",
    )
    by_host = TopologySpreadConstraintArgs(
        max_skew=1, topology_key=HOSTNAME, when_unsatisfiable="ScheduleAnyway", label_selector=selector(workload)
    )
    return [by_zone, by_host]
