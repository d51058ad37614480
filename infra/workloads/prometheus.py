"""Prometheus: scrapes every workload, evaluates `infra/rules/` and sends alerts to Alertmanager.

A changed rule or target makes a new ConfigMap and rolls the pods. Each replica scrapes and alerts independently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
import yaml
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgs
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgs, PodSpecArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from infra import naming as n
from infra.config import PrometheusSettings
from infra.kit import pod, probes, scrape
from infra.kit.meta import named, selector, unnamed, waited
from infra.kit.options import child, stateful
from infra.kit.scrape import Target
from infra.naming import PROMETHEUS, Workload
from infra.parts import access
from infra.parts.budget import one_at_a_time
from infra.parts.claim import TEMPLATES, Disk, claim_template, claims_of_pods, retained
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip
from infra.rules_files import rule_files
from infra.workloads.postgres_exporter import KEPT
from infra.workloads.thanos import SIDECAR, bucket_volume, sidecar
from infra.workloads.thanos_programs import HTTP as THANOS_HTTP

TARGETS: Final = (
    Target(workload=n.API),
    Target(workload=n.INGRESS, port="metrics"),
    Target(workload=n.ALERTMANAGER),
    Target(workload=n.GRAFANA),
    Target(workload=n.PUSHGATEWAY, own_labels=True),
    Target(workload=n.KUBE_STATE_METRICS, own_labels=True),
    Target(workload=n.KUBE_STATE_METRICS, port="telemetry", role="telemetry"),
    Target(workload=n.NODE_EXPORTER),
    Target(workload=n.BLACKBOX),
    Target(workload=n.POSTGRES_EXPORTER, keep=KEPT),
    Target(workload=n.THANOS_QUERY),
    Target(workload=n.THANOS_STORE),
    Target(workload=n.THANOS_COMPACT),
)
PROBE_PATH: Final = "/openapi.json"
"""What the probe requests from the API through the edge; it needs no key."""
DATA: Final = "/prometheus"
CONFIG: Final = "/etc/prometheus/config"
VOLUME_SHARE_PERCENT: Final = 80
"""How much of the volume blocks may fill. The rest is for the write-ahead log and for compaction, which writes the new
block before it deletes the old ones."""
UNMERGED: Final = ("--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
REPLAY_SECONDS: Final = 900
"""How long Prometheus may read the write-ahead log before it is ready."""
READY_SECONDS: Final = REPLAY_SECONDS + 300
"""How long `pulumi up` waits: for a whole replay, and for the volume and the image before it."""


@dataclass(frozen=True, kw_only=True)
class PrometheusArgs:
    """Size, the stack's other workloads, their budget, and whether kubelets' certificates can be verified."""

    settings: PrometheusSettings
    context: Context
    stack: str
    workloads: tuple[Workload, ...]
    pods_monthly_usd: int
    verify_kubelets: bool
    thanos: bool
    """Whether a sidecar uploads the blocks; Prometheus itself must not merge them then."""


class Prometheus(pulumi.ComponentResource):
    """ServiceAccount with its roles, ConfigMaps, claims, StatefulSet, Services; a PDB where there are several pods."""

    def __init__(self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Prometheus", name, {}, opts)
        account = service_account(self, name, PROMETHEUS, args.context)
        targets = [target for target in TARGETS if target.workload in args.workloads]
        roles = self._access(name, targets)
        config_maps = self._config(name, args, targets)
        pods = cluster_ip(self, name, PROMETHEUS, role="pods", kind="headless")
        disks = claims_of_pods(self, name, PROMETHEUS, _disk(args), replicas=args.settings.replicas)
        self._stateful_set(name, args, config_maps, [account, pods, *roles, *disks])
        cluster_ip(self, name, PROMETHEUS, kind="sticky", wait_seconds=READY_SECONDS)
        if args.settings.replicas > 1:
            one_at_a_time(self, name, PROMETHEUS)
        self.register_outputs({})

    def _access(self, name: str, targets: list[Target]) -> list[pulumi.Resource]:
        """Let it find nodes, and pods in the namespaces with targets; of kubelets it may read only the metrics."""
        pods = PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["get", "list", "watch"])
        nodes = PolicyRuleArgs(api_groups=[""], resources=["nodes"], verbs=["get", "list", "watch"])
        kubelets = PolicyRuleArgs(api_groups=[""], resources=["nodes/metrics"], verbs=["get"])
        namespaces = sorted({target.workload.namespace for target in targets})
        bindings = [access.in_namespace(self, name, PROMETHEUS, namespace, [pods]) for namespace in namespaces]
        return [*bindings, access.in_cluster(self, name, PROMETHEUS, [nodes, kubelets])]

    def _config(self, name: str, args: PrometheusArgs, targets: list[Target]) -> dict[str, ConfigMap]:
        """Create the ConfigMaps; return them by the name of their volume."""
        config = scrape.config(
            targets,
            stack=args.stack,
            probed=n.INGRESS.url("https").replace("http:", "https:", 1) + PROBE_PATH
            if n.BLACKBOX in args.workloads
            else None,
            verify_kubelets=args.verify_kubelets,
            beside={SIDECAR: THANOS_HTTP} if args.thanos else None,
        )
        content = {
            "config": {"prometheus.yml": yaml.safe_dump(config, sort_keys=False)},
            "rules": rule_files(args.workloads, args.pods_monthly_usd),
        }
        return {
            role: ConfigMap(f"{name}-{role}", metadata=unnamed(PROMETHEUS), data=data, opts=child(self))
            for role, data in content.items()
        }

    def _stateful_set(
        self, name: str, args: PrometheusArgs, config_maps: dict[str, ConfigMap], after: list[pulumi.Resource]
    ) -> None:
        spec = PodSpecArgs(
            containers=[_container(args), *_sidecar(args)],
            volumes=[
                *(pod.config_volume(role, config_map.metadata.name) for role, config_map in config_maps.items()),
                *([bucket_volume(self, name, PROMETHEUS, args.context)] if args.thanos else []),
            ],
            automount_service_account_token=True,
            # Long enough to write the head block; a pod that is killed earlier has to replay the log.
            termination_grace_period_seconds=120,
            topology_spread_constraints=pod.spread(PROMETHEUS, zones=args.context.cloud.zones),
        )
        StatefulSet(
            f"{name}-statefulset",
            metadata=named(PROMETHEUS, annotations=waited(READY_SECONDS)),
            spec=StatefulSetSpecArgs(
                replicas=args.settings.replicas,
                service_name=f"{PROMETHEUS.name}-pods",
                selector=selector(PROMETHEUS),
                # A pod that a bad change keeps from becoming ready must not block the next change, which fixes it.
                pod_management_policy="Parallel",
                template=pod.harden(PROMETHEUS, spec),
                volume_claim_templates=[claim_template(_disk(args))],
                persistent_volume_claim_retention_policy=retained(),
            ),
            opts=stateful(self, args.context.state, after=after, ignore=TEMPLATES),
        )


def _disk(args: PrometheusArgs) -> Disk:
    return Disk(context=args.context, gib=args.settings.storage_gib)


def _sidecar(args: PrometheusArgs) -> list[ContainerArgs]:
    return [sidecar(args.context, DATA, replay_seconds=REPLAY_SECONDS)] if args.thanos else []


def _container(args: PrometheusArgs) -> ContainerArgs:
    return ContainerArgs(
        name=PROMETHEUS.name,
        image=args.context.images.reference("prometheus"),
        resources=pod.resources(args.settings.resources),
        startup_probe=probes.http("/-/ready", failures=REPLAY_SECONDS // 10),
        readiness_probe=probes.http("/-/ready"),
        liveness_probe=probes.http("/-/healthy"),
        args=[
            f"--config.file={CONFIG}/prometheus.yml",
            f"--storage.tsdb.path={DATA}",
            # Newer versions prefer these two in the configuration file, where Prometheus 2 would not accept them.
            f"--storage.tsdb.retention.time={args.settings.retention_days}d",
            f"--storage.tsdb.retention.size={retained_mib(args.settings.storage_gib)}MB",
            f"--web.listen-address=0.0.0.0:{PROMETHEUS.ports['http']}",
            f"--web.external-url={PROMETHEUS.url()}",
            *(UNMERGED if args.thanos else []),
        ],
        env=[pod.pod_field("POD_NAME", "metadata.name")],
        volume_mounts=[
            pod.mount("config", CONFIG),
            pod.mount("rules", scrape.RULES),
            pod.mount("data", DATA, read_only=False),
        ],
    )


def retained_mib(storage_gib: int) -> int:
    """Return how many MiB of a volume blocks may take; what Prometheus calls "MB" are MiB."""
    return storage_gib * 1024 * VOLUME_SHARE_PERCENT // 100
