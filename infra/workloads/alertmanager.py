"""Alertmanager: a mesh of replicas that groups alerts and tells people, each alert once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import pulumi
import yaml
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    ObjectFieldSelectorArgs,
    VolumeArgs,
)

from infra import secret_files
from infra.config import AlertmanagerSettings, Resources
from infra.kit import alerting, pod, probes
from infra.kit.meta import named, selector, unnamed
from infra.kit.options import child, stateful
from infra.naming import ALERTMANAGER
from infra.parts.budget import one_at_a_time
from infra.parts.claim import claim_template, claims_of_pods, retained
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip

DATA: Final = "/alertmanager"
CONFIG: Final = "/etc/alertmanager"
STORAGE_GIB: Final = 1
"""Silences, and what has been sent already."""
SIZE: Final = Resources(cpu_request="20m", cpu_limit="200m", memory_request="64Mi", memory_limit="128Mi")


@dataclass(frozen=True, kw_only=True)
class AlertmanagerArgs:
    """Receivers and replicas."""

    settings: AlertmanagerSettings
    context: Context


class Alertmanager(pulumi.ComponentResource):
    """ServiceAccount, ConfigMap, headless Service, claims and StatefulSet; a PDB where there are several pods."""

    channels: list[str]
    """Over which people hear of alerts; empty where nobody does."""

    def __init__(self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Alertmanager", name, {}, opts)
        self.channels = alerting.channels(args.settings)
        if not self.channels:
            pulumi.log.warn("No alert receiver is on: alerts are to be seen, but nobody is told", self)
        account = service_account(self, name, ALERTMANAGER, args.context.cloud.roles)
        peers = cluster_ip(self, name, ALERTMANAGER, headless=True)
        volumes = [self._config(name, args), *self._secrets(name, args)]
        disks = claims_of_pods(self, name, ALERTMANAGER, args.context, gib=STORAGE_GIB, replicas=args.settings.replicas)
        self._stateful_set(name, args, volumes, [account, peers, *disks])
        if args.settings.replicas > 1:
            one_at_a_time(self, name, ALERTMANAGER)
        self.register_outputs({})

    def _config(self, name: str, args: AlertmanagerArgs) -> VolumeArgs:
        content = yaml.safe_dump(
            alerting.config(args.settings, grafana=f"https://grafana.{args.context.domain}"), sort_keys=False
        )
        made = ConfigMap(
            f"{name}-config", metadata=unnamed(ALERTMANAGER), data={"alertmanager.yml": content}, opts=child(self)
        )
        return pod.config_volume("config", made.metadata.name)

    def _secrets(self, name: str, args: AlertmanagerArgs) -> list[VolumeArgs]:
        """Only the files that are needed: the CSI driver refuses to mount one that the secret has no key for."""
        files = alerting.secret_files(args.settings)
        wanted = replace(secret_files.ALERT_RECEIVERS, files=files)
        return [args.context.secret(self, name, ALERTMANAGER, wanted)] if files else []

    def _stateful_set(
        self, name: str, args: AlertmanagerArgs, volumes: list[VolumeArgs], after: list[pulumi.Resource]
    ) -> None:
        StatefulSet(
            f"{name}-statefulset",
            metadata=named(ALERTMANAGER),
            spec=StatefulSetSpecArgs(
                replicas=args.settings.replicas,
                service_name=ALERTMANAGER.name,
                selector=selector(ALERTMANAGER),
                # A pod that a bad change keeps from being ready must not hold up the next change, which mends it.
                pod_management_policy="Parallel",
                template=pod.pod(
                    ALERTMANAGER,
                    containers=[_container(args)],
                    volumes=volumes,
                    spread_over=pod.spread(ALERTMANAGER, zones=args.context.cloud.zones),
                ),
                volume_claim_templates=[claim_template(args.context)],
                persistent_volume_claim_retention_policy=retained(),
            ),
            opts=stateful(self, args.context.state, after=after),
        )


def _container(args: AlertmanagerArgs) -> ContainerArgs:
    own_address = EnvVarSourceArgs(field_ref=ObjectFieldSelectorArgs(field_path="status.podIP"))
    secret = secret_files.ALERT_RECEIVERS.name
    return pod.container(
        ALERTMANAGER,
        image=args.context.images.reference("alertmanager"),
        resources=pod.resources(SIZE),
        probes=pod.Probes(
            startup=probes.http("/-/ready", period_seconds=2, failures=60),
            readiness=probes.http("/-/ready"),
            liveness=probes.http("/-/healthy"),
        ),
        args=[
            f"--config.file={CONFIG}/alertmanager.yml",
            f"--storage.path={DATA}",
            f"--web.listen-address=0.0.0.0:{ALERTMANAGER.ports['http']}",
            f"--web.external-url={ALERTMANAGER.url()}",
            *mesh(args.settings.replicas),
        ],
        env_from_fields={"POD_IP": EnvVarArgs(name="POD_IP", value_from=own_address)},
        mounts=[
            pod.mount("config", CONFIG),
            pod.mount("data", DATA, read_only=False),
            *([pod.mount(secret, alerting.SECRETS)] if alerting.secret_files(args.settings) else []),
        ],
    )


def mesh(replicas: int) -> list[str]:
    """How the replicas find each other, by the names that the headless Service gives them; alone there is no mesh."""
    if replicas == 1:
        return ["--cluster.listen-address="]
    port = ALERTMANAGER.ports["mesh"]
    # The address is said because Alertmanager only finds it by itself in the networks of RFC 1918.
    own = [f"--cluster.listen-address=0.0.0.0:{port}", f"--cluster.advertise-address=$(POD_IP):{port}"]
    names = [f"{ALERTMANAGER.name}-{index}.{ALERTMANAGER.host}" for index in range(replicas)]
    return [*own, *(f"--cluster.peer={name}:{port}" for name in names)]
