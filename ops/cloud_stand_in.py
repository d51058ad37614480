"""A stand-in of the cloud half of staging and prod, for recordings: fixed values of an account that does not exist.

The AWS half of the program is not built yet; until then this is what the cluster half of these stacks is rendered and
tested with.
"""

from __future__ import annotations

from typing import Final

import pulumi

from infra import naming as n
from infra.cloud import CloudOutputs, Database, Spot
from infra.config import Settings
from infra.secret_files import ALL, AwsSource

ACCOUNT: Final = "000000000000"
REGION: Final = "eu-central-1"
VPC: Final = ("10.20.0.0/16",)
WITH_ROLE: Final = (
    n.MLFLOW,
    n.MLFLOW_MIGRATE,
    n.MLFLOW_GC,
    n.TRAINING,
    n.BACKUP,
    n.DRILL,
    n.API,
    n.GRAFANA,
    n.ALERTMANAGER,
    n.CACHE,
)


def stand_in(settings: Settings) -> CloudOutputs:
    """What AWS would give the stack's cluster."""
    prefix = f"churn-{settings.stack}"
    return CloudOutputs(
        secrets={spec.name: AwsSource(arn=_arn("secretsmanager", f"secret:{prefix}/{spec.name}")) for spec in ALL},
        database=Database(host=f"{prefix}.rds.example.com", cidrs=("10.20.200.0/24", "10.20.201.0/24")),
        region=REGION,
        storage_class="gp3-encrypted",
        artifacts_bucket=f"{prefix}-artifacts",
        backups_bucket=f"{prefix}-backups",
        roles={workload.name: f"arn:aws:iam::{ACCOUNT}:role/{prefix}-{workload.name}" for workload in WITH_ROLE},
        certificate_arn=_arn("acm", "certificate/stand-in"),
        zones=3,
        spot=Spot(label=("churn.io/capacity", "spot"), taint=("churn.io/spot", "true")),
        api_server_cidrs=VPC,
        node_cidrs=VPC,
    )


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def provider() -> pulumi.ProviderResource:
    """A provider that reaches nothing."""
    import pulumi_kubernetes as k8s  # noqa: PLC0415 - slow to import, and `churn --help` does not need it

    return k8s.Provider("cluster", kubeconfig="{}", cluster_identifier="recording")
