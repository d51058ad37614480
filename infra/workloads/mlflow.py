"""The MLflow server: runs, models and their artifacts, with a login for everybody.

Artifacts go through the server, so nobody else needs access to the volume or bucket they are on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.core.v1 import ContainerArgs, VolumeArgs

from infra import secret_files
from infra.config import MlflowSettings
from infra.kit import pod, probes
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import MLFLOW
from infra.parts.budget import one_at_a_time
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip
from infra.workloads.mlflow_jobs import (
    DATABASE_URI,
    MlflowGc,
    MlflowGcArgs,
    MlflowMigration,
    MlflowMigrationArgs,
    database_env,
    login_dir,
    secret_mounts,
)

ARTIFACTS: Final = "/var/lib/mlflow/artifacts"
PRE_STOP_SECONDS: Final = 5
GRACE_SECONDS: Final = 60
"""Time for an upload that is under way."""
READY_SECONDS: Final = 900
WORKERS: Final = 1
"""Processes that answer, each of which takes half a GiB and pools of its own: more capacity is another replica. A
second CPU is of use to one process too, since hashing passwords and moving files leave Python's lock alone."""
SCRATCH: Final = "2Gi"
"""An upload lies in /tmp as a whole before it goes to its place."""


@dataclass(frozen=True, kw_only=True)
class MlflowArgs:
    """Scale and size; the claims of artifacts, unless a bucket has them, and of backups; the time zone of schedules."""

    settings: MlflowSettings
    context: Context
    artifacts_claim: pulumi.Input[str] | None
    backup_claim: pulumi.Input[str]
    time_zone: str


class Mlflow(pulumi.ComponentResource):
    """ServiceAccount, migration, Deployment, Service, PDB and removal."""

    def __init__(self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Mlflow", name, {}, opts)
        account = service_account(self, name, MLFLOW, args.context.cloud.roles)
        migration = self._migration(name, args)
        self._deployment(name, args, self._volumes(name, args), [account, migration])
        cluster_ip(self, name, MLFLOW)
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
        )
        return MlflowMigration(f"{name}-migration", migration_args, pulumi.ResourceOptions(parent=self))

    def _volumes(self, name: str, args: MlflowArgs) -> list[VolumeArgs]:
        secrets = (secret_files.POSTGRES_MLFLOW, secret_files.MLFLOW_ADMIN)
        return [
            *(args.context.secret(self, name, MLFLOW, secret) for secret in secrets),
            *([] if args.artifacts_claim is None else [pod.claim_volume("artifacts", args.artifacts_claim)]),
            pod.empty_dir("tmp", size=SCRATCH),
        ]

    def _deployment(
        self, name: str, args: MlflowArgs, volumes: list[VolumeArgs], needed: list[pulumi.Resource]
    ) -> None:
        Deployment(
            f"{name}-deployment",
            metadata=named(MLFLOW, annotations={"pulumi.com/timeoutSeconds": str(READY_SECONDS)}),
            spec=DeploymentSpecArgs(
                replicas=args.settings.replicas,
                selector=selector(MLFLOW),
                revision_history_limit=3,
                strategy=_strategy(on_volume=args.context.cloud.artifacts_bucket is None),
                template=pod.pod(
                    MLFLOW,
                    containers=[self._container(args)],
                    volumes=volumes,
                    grace_seconds=GRACE_SECONDS,
                    spread_over=pod.spread(MLFLOW, zones=args.context.cloud.zones),
                ),
            ),
            opts=child(self, after=needed),
        )

    def _container(self, args: MlflowArgs) -> ContainerArgs:
        bucket = args.context.cloud.artifacts_bucket
        on_volume = [pod.mount("artifacts", ARTIFACTS, read_only=False)] if bucket is None else []
        return pod.container(
            MLFLOW,
            image=args.context.images.reference("mlflow"),
            resources=pod.resources(args.settings.resources, scratch="3Gi"),
            probes=pod.Probes(
                startup=probes.http("/health", period_seconds=5, failures=60),
                readiness=probes.http("/health"),
                # Slow under load is not dead.
                liveness=probes.http("/health", period_seconds=20, failures=6),
            ),
            command=["python", "-m", "ops.jobs.tracking_pod"],
            args=["server", *server_options(args.context.domain), "--artifacts-destination", destination(bucket)],
            env=database_env(MLFLOW) | {"MLFLOW_LOGIN_DIR": login_dir(secret_files.MLFLOW_ADMIN)},
            mounts=[
                *secret_mounts(secret_files.POSTGRES_MLFLOW, secret_files.MLFLOW_ADMIN),
                *on_volume,
                pod.tmp_mount(),
            ],
            lifecycle=probes.sleep_before_stop(PRE_STOP_SECONDS),
        )


def _strategy(*, on_volume: bool) -> DeploymentStrategyArgs:
    if on_volume:
        # One node mounts the volume at a time: a new pod elsewhere would wait for the old one for ever.
        return DeploymentStrategyArgs(type="Recreate")
    return DeploymentStrategyArgs(
        type="RollingUpdate", rolling_update=RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0)
    )


def destination(bucket: pulumi.Input[str] | None) -> pulumi.Input[str]:
    """Where the server puts artifacts."""
    return f"file://{ARTIFACTS}" if bucket is None else pulumi.Output.concat("s3://", bucket, "/artifacts")


def server_options(domain: str) -> list[str]:
    """Options of `mlflow server` that need no secret."""
    return [
        "--host", "0.0.0.0",  # noqa: S104 - a pod's own address; network policies say who reaches it
        "--port", str(MLFLOW.ports["http"]),
        "--workers", str(WORKERS),
        "--app-name", "basic-auth",
        "--backend-store-uri", DATABASE_URI,
        "--serve-artifacts",
        "--allowed-hosts", ",".join(allowed_hosts(domain)),
        "--cors-allowed-origins", f"https://{outside_host(domain)}",
    ]  # fmt: skip


def outside_host(domain: str) -> str:
    """The name people use."""
    return f"{MLFLOW.name}.{domain}"


def allowed_hosts(domain: str) -> list[str]:
    """Every `Host` that the server answers to, which it compares as a whole, port included.

    Probes come by the pod's address, but /health is answered to any host. The local names are for port-forwarding; no
    page of a stranger can send them.
    """
    service = [MLFLOW.name, f"{MLFLOW.name}.{MLFLOW.namespace}", MLFLOW.host, f"{MLFLOW.host}.cluster.local"]
    inside = [form for host in service for form in (host, f"{host}:{MLFLOW.ports['http']}")]
    outside = [outside_host(domain), f"{outside_host(domain)}:443"]
    return [*inside, *outside, "localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*"]
