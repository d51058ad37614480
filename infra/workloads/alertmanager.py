"""Alertmanager: a mesh of replicas that groups alerts and tells people of each alert once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pulumi
import yaml
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgs
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgs, PodSpecArgs, VolumeArgs

from infra import secret_files
from infra.config import Resources
from infra.config_alerts import AlertmanagerSettings
from infra.kit import pod, probes
from infra.kit.meta import named, selector, unnamed
from infra.kit.options import child, stateful
from infra.naming import ALERTMANAGER
from infra.parts.budget import one_at_a_time
from infra.parts.claim import TEMPLATES, Disk, claim_template, claims_of_pods, retained
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip
from infra.workloads import alertmanager_config as config

DATA: Final = "/alertmanager"
CONFIG: Final = "/etc/alertmanager"
STORAGE_GIB: Final = 1
"""For silences, and for what has been sent already."""
SIZE: Final = Resources(cpu_request="20m", cpu_limit="200m", memory_request="64Mi", memory_limit="128Mi")


@dataclass(frozen=True, kw_only=True)
class AlertmanagerArgs:
    """Receivers and number of replicas."""

    settings: AlertmanagerSettings
    context: Context


class Alertmanager(pulumi.ComponentResource):
    """ServiceAccount, ConfigMap, headless Service, claims and StatefulSet; a PDB where there are several pods."""

    channels: list[str]
    """Channels by which people hear of alerts; empty where nobody does."""

    def __init__(self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Alertmanager", name, {}, opts)
        self.channels = config.channels(args.settings)
        if not self.channels:
            pulumi.log.warn("no alert receiver is on: alerts fire, but nobody hears of them", self)
        account = service_account(self, name, ALERTMANAGER, args.context)
        peers = cluster_ip(self, name, ALERTMANAGER, kind="headless")
        secrets = self._secrets(name, args)
        volumes = [self._config(name, args), *(secret.volume for secret in secrets)]
        disks = claims_of_pods(self, name, ALERTMANAGER, _disk(args), replicas=args.settings.replicas)
        spec = PodSpecArgs(
            containers=[_container(args, secrets)],
            volumes=volumes,
            topology_spread_constraints=pod.spread(ALERTMANAGER, zones=args.context.cloud.zones),
        )
        self._stateful_set(name, args, spec, [account, peers, *disks])
        if args.settings.replicas > 1:
            one_at_a_time(self, name, ALERTMANAGER)
        self.register_outputs({})

    def _config(self, name: str, args: AlertmanagerArgs) -> VolumeArgs:
        content = yaml.safe_dump(
            config.config(args.settings, grafana=f"https://grafana.{args.context.domain}"), sort_keys=False
        )
        config_map = ConfigMap(
            f"{name}-config", metadata=unnamed(ALERTMANAGER), data={"alertmanager.yml": content}, opts=child(self)
        )
        return pod.config_volume("config", config_map.metadata.name)

    def _secrets(self, name: str, args: AlertmanagerArgs) -> list[MountedSecret]:
        """Mount only the files that are needed: the CSI driver refuses one that the secret has no key for."""
        files = config.secret_files(args.settings)
        receivers = replace(secret_files.ALERT_RECEIVERS, files=files)
        return [args.context.secret(self, name, ALERTMANAGER, receivers)] if files else []

    def _stateful_set(self, name: str, args: AlertmanagerArgs, spec: PodSpecArgs, after: list[pulumi.Resource]) -> None:
        StatefulSet(
            f"{name}-statefulset",
            metadata=named(ALERTMANAGER),
            spec=StatefulSetSpecArgs(
                replicas=args.settings.replicas,
                service_name=ALERTMANAGER.name,
                selector=selector(ALERTMANAGER),
                # A pod that a bad change keeps from becoming ready must not block the next change, which fixes it.
                pod_management_policy="Parallel",
                template=pod.harden(ALERTMANAGER, spec),
                volume_claim_templates=[claim_template(_disk(args))],
                persistent_volume_claim_retention_policy=retained(),
            ),
            opts=stateful(self, args.context.state, after=after, ignore=TEMPLATES),
        )


def _disk(args: AlertmanagerArgs) -> Disk:
    return Disk(context=args.context, gib=STORAGE_GIB)


def _container(args: AlertmanagerArgs, secrets: Sequence[MountedSecret]) -> ContainerArgs:
    return ContainerArgs(
        name=ALERTMANAGER.name,
        image=args.context.images.reference("alertmanager"),
        resources=pod.resources(SIZE),
        startup_probe=probes.http("/-/ready", period_seconds=2, failures=60),
        readiness_probe=probes.http("/-/ready"),
        liveness_probe=probes.http("/-/healthy"),
        args=[
            f"--config.file={CONFIG}/alertmanager.yml",
            f"--storage.path={DATA}",
            f"--web.listen-address=0.0.0.0:{ALERTMANAGER.ports['http']}",
            f"--web.external-url={ALERTMANAGER.url()}",
            *mesh(args.settings.replicas),
        ],
        env=[pod.pod_field("POD_IP", "status.podIP")],
        volume_mounts=[
            pod.mount("config", CONFIG),
            pod.mount("data", DATA, read_only=False),
            *(secret.mount for secret in secrets),
        ],
    )


def mesh(replicas: int) -> list[str]:
    """Return the flags by which replicas find each other, under their names in the headless Service.

    A single replica has no mesh.
    """
    if replicas == 1:
        return ["--cluster.listen-address="]
    port = ALERTMANAGER.ports["mesh"]
    # Alertmanager detects its own address only in the networks of RFC 1918.
    own = [f"--cluster.listen-address=0.0.0.0:{port}", f"--cluster.advertise-address=$(POD_IP):{port}"]
    names = [f"{ALERTMANAGER.name}-{index}.{ALERTMANAGER.host}" for index in range(replicas)]
    return [*own, *(f"--cluster.peer={name}:{port}" for name in names)]
