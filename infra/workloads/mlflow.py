"""The MLflow server: runs, models and their artifacts, with a login for each client.

Artifacts pass through the server, so nobody else needs access to the volume or bucket with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs, VolumeArgs

from infra import secret_files
from infra.config import MlflowSettings
from infra.kit import pod, probes, rollouts
from infra.kit.meta import named, selector, waited
from infra.kit.options import child
from infra.naming import MLFLOW
from infra.parts.budget import one_at_a_time
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip
from infra.workloads.mlflow_jobs import (
    DATABASE_URI,
    MlflowGc,
    MlflowGcArgs,
    MlflowMigration,
    MlflowMigrationArgs,
    database_env,
)

ARTIFACTS: Final = "/var/lib/mlflow/artifacts"
PRE_STOP_SECONDS: Final = 5
GRACE_SECONDS: Final = 60
"""Time for an upload in progress to finish."""
READY_SECONDS: Final = 900
WORKERS: Final = 1
"""Processes that answer requests. Each takes half a GiB and has connection pools of its own, so scale by replicas
instead. One process can use a second CPU, since hashing passwords and moving files do not hold Python's lock."""
SCRATCH: Final = "2Gi"
"""An upload is stored in /tmp as a whole before it goes to its destination."""


@dataclass(frozen=True, kw_only=True)
class MlflowArgs:
    """Scale and size, claims with backups and (unless in a bucket) artifacts, registered models, and the time zone."""

    settings: MlflowSettings
    context: Context
    artifacts_claim: pulumi.Input[str] | None
    backup_claim: pulumi.Input[str]
    models: tuple[str, ...]
    time_zone: str


class Mlflow(pulumi.ComponentResource):
    """ServiceAccount, migration, Deployment, Service, PDB and garbage collection."""

    def __init__(self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Mlflow", name, {}, opts)
        account = service_account(self, name, MLFLOW, args.context)
        migration = self._migration(name, args)
        specs = (secret_files.POSTGRES_MLFLOW, secret_files.MLFLOW_ADMIN)
        secrets = [args.context.secret(self, name, MLFLOW, spec) for spec in specs]
        self._deployment(name, args, secrets, [account, migration])
        cluster_ip(self, name, MLFLOW, wait_seconds=READY_SECONDS)
        if args.settings.replicas > 1:
            one_at_a_time(self, name, MLFLOW)
        gc_args = MlflowGcArgs(context=args.context, time_zone=args.time_zone)
        MlflowGc(f"{name}-gc", gc_args, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})

    def _migration(self, name: str, args: MlflowArgs) -> MlflowMigration:
        migration_args = MlflowMigrationArgs(
            context=args.context,
            backup_claim=args.backup_claim,
            artifacts_claim=args.artifacts_claim,
            models=args.models,
        )
        return MlflowMigration(f"{name}-migration", migration_args, pulumi.ResourceOptions(parent=self))

    def _deployment(
        self, name: str, args: MlflowArgs, secrets: list[MountedSecret], after: list[pulumi.Resource]
    ) -> None:
        spec = PodSpecArgs(
            containers=[_container(args, secrets)],
            volumes=_volumes(args, secrets),
            termination_grace_period_seconds=GRACE_SECONDS,
            topology_spread_constraints=pod.spread(MLFLOW, zones=args.context.cloud.zones),
        )
        Deployment(
            f"{name}-deployment",
            metadata=named(MLFLOW, annotations=waited(READY_SECONDS)),
            spec=DeploymentSpecArgs(
                replicas=args.settings.replicas,
                selector=selector(MLFLOW),
                revision_history_limit=3,
                strategy=_strategy(on_volume=args.context.cloud.artifacts_bucket is None),
                template=pod.harden(MLFLOW, spec),
            ),
            opts=child(self, after=after),
        )


def _volumes(args: MlflowArgs, secrets: list[MountedSecret]) -> list[VolumeArgs]:
    return [
        *(secret.volume for secret in secrets),
        *([] if args.artifacts_claim is None else [pod.claim_volume("artifacts", args.artifacts_claim)]),
        pod.empty_dir("tmp", size=SCRATCH),
    ]


def _container(args: MlflowArgs, secrets: list[MountedSecret]) -> ContainerArgs:
    bucket = args.context.cloud.artifacts_bucket
    on_volume = [pod.mount("artifacts", ARTIFACTS, read_only=False)] if bucket is None else []
    return ContainerArgs(
        name=MLFLOW.name,
        image=args.context.images.reference("mlflow"),
        resources=pod.resources(args.settings.resources, scratch="3Gi"),
        startup_probe=probes.http("/health", period_seconds=5, failures=60),
        readiness_probe=probes.http("/health"),
        # A server that is slow under load is not dead.
        liveness_probe=probes.http("/health", period_seconds=20, failures=6),
        command=["python", "-m", "ops.jobs.tracking_pod"],
        args=["server", *server_options(args.context.domain), "--artifacts-destination", destination(bucket)],
        env=pod.environment(
            database_env(MLFLOW, args.context.cloud.database) | {"MLFLOW_LOGIN_DIR": secret_files.MLFLOW_ADMIN.path}
        ),
        volume_mounts=[*(secret.mount for secret in secrets), *on_volume, pod.tmp_mount()],
        lifecycle=probes.sleep_before_stop(PRE_STOP_SECONDS),
    )


def _strategy(*, on_volume: bool) -> DeploymentStrategyArgs:
    if on_volume:
        # One node mounts the volume at a time: a new pod on another node waits until the old one has gone, which must
        # not wait for the new one. On the same node the old one may finish its uploads beside the new one.
        return rollouts.old_first()
    return rollouts.surge()


def destination(bucket: pulumi.Input[str] | None) -> pulumi.Input[str]:
    """Return where the server stores artifacts."""
    return f"file://{ARTIFACTS}" if bucket is None else pulumi.Output.concat("s3://", bucket, "/artifacts")


def server_options(domain: str) -> list[str]:
    """Return the options of `mlflow server` that contain no secret."""
    return [
        "--host", "0.0.0.0",  # noqa: S104 - a pod's own address; network policies say who reaches it
        "--port", str(MLFLOW.ports["http"]),
        "--workers", str(WORKERS),
        "--app-name", "basic-auth",
        "--backend-store-uri", DATABASE_URI,
        "--serve-artifacts",
        "--allowed-hosts", ",".join(allowed_hosts(domain)),
        "--cors-allowed-origins", ",".join(allowed_origins(domain)),
    ]  # fmt: skip


def outside_host(domain: str) -> str:
    """Return the host name that people use."""
    return f"{MLFLOW.name}.{domain}"


def allowed_origins(domain: str) -> list[str]:
    """Return every origin whose pages may change something: the interface's own, at whatever port it is reached.

    A browser names the port in the origin, and through a forwarded port or a node port it is not 443. It also keeps a
    trailing dot of the host. NGINX passes the host on in lower case, without port and dot.
    """
    origin = f"https://{outside_host(domain)}"
    return [form for host in (origin, f"{origin}.") for form in (host, f"{host}:[0-9]*")]


def allowed_hosts(domain: str) -> list[str]:
    """Return every `Host` header that the server accepts; it compares them as a whole, with the port.

    Probes use the pod's address, but /health is answered for any host. The local names are for port-forwarding; no page
    of another site can send them.
    """
    whole = f"{MLFLOW.host}.cluster.local"
    service = [MLFLOW.name, f"{MLFLOW.name}.{MLFLOW.namespace}", MLFLOW.host, whole, f"{whole}."]
    inside = [form for host in service for form in (host, f"{host}:{MLFLOW.ports['http']}")]
    outside = [outside_host(domain), f"{outside_host(domain)}:443"]
    return [*inside, *outside, "localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*"]
