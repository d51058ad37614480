"""The configuration of a stack, section by section.

A value that differs between environments is in all three ``Pulumi.<stack>.yaml`` and has no default here; a value that
is the same everywhere is a constant beside its use. Everything is checked at once, before any resource is created.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pulumi
from pydantic import Field, model_validator

from app.names import MODEL_NAME
from infra.config_alerts import AlertmanagerSettings
from infra.config_aws import (
    AccountSettings,
    AddonSettings,
    BucketSettings,
    BudgetSettings,
    EdgeSettings,
    EksSettings,
    NetworkSettings,
    RdsSettings,
    RunnerSettings,
    SecretSettings,
)
from infra.config_training import BUILT_IN, ContractPath, Source, TrainedModel, TrainedModels
from infra.config_types import Cron, Host, Mirror, Models, Origin, Positive, Quantity, Replicas, Section, Tag


class ConfigError(pulumi.RunError):
    """The configuration cannot work; the message has a line for each wrong key, with its value and what to do about it.

    Pulumi shows it without a traceback.
    """


class Resources(Section):
    """Requests and limits of a container."""

    cpu_request: Quantity
    cpu_limit: Quantity
    memory_request: Quantity
    memory_limit: Quantity


class ClusterSettings(Section):
    """The Kubernetes cluster: an existing one (`local`), or one that the stack creates on AWS (`eks`)."""

    kind: Literal["local", "eks"]
    context: str = Field(
        description="Context of the kubeconfig for kind local; empty takes the current one if its cluster is local."
    )


class ImageSettings(Section):
    """Registry and tag of the project's own images, the mirror of public ones, and whether digests are required."""

    registry: str = Field(
        description="What precedes the images' names; a name that nobody can pull where they are loaded by hand."
    )
    tag: Tag
    require_digests: bool
    mirror: Mirror
    """Where public images are pulled from, below their whole name; empty for their own registries."""
    pull_secret: bool
    """Whether images are pulled with the logins of `churn:registry_logins`."""


class QuotaSettings(Section):
    """What all pods of one namespace may request together."""

    cpu: Quantity
    memory: Quantity
    pods: Positive


class NamespaceSettings(Section):
    """Quotas and the service mesh."""

    mesh: Literal["none", "istio"]
    quota: QuotaSettings


class StateSettings(Section):
    """What happens to volumes and secrets when their resource is removed from the stack."""

    protect: bool
    """Pulumi refuses to delete or replace them, and the cluster keeps them."""


class IngressSettings(Section):
    """The NGINX in front of everything; with `none`, Services are reached by port-forwarding only."""

    kind: Literal["nginx", "none"]
    domain: Host
    service_type: Literal["LoadBalancer", "NodePort"]
    replicas: Replicas
    client_requests_per_second: Positive
    resources: Resources


class ApiSettings(Section):
    """The prediction API."""

    min_replicas: Replicas
    max_replicas: Replicas
    log_requests: bool
    models: Models = Field(
        default=(MODEL_NAME,),
        description="Names of the registered models, the default one first. Optional, since most stacks serve one.",
    )
    cors_origins: tuple[Origin, ...] = Field(description="Origins of web pages whose scripts may call the API.")
    resources: Resources

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas {self.max_replicas} is below min_replicas {self.min_replicas}: raise it or lower that"
            )
        return self


class MlflowSettings(Section):
    """The MLflow server; its artifacts are on a volume where the cloud provides no bucket."""

    replicas: Replicas
    artifacts_gib: Positive
    resources: Resources


class DatabaseSettings(Section):
    """PostgreSQL: a pod, or RDS."""

    kind: Literal["in-cluster", "rds"]
    storage_gib: Positive
    resources: Resources


class CacheSettings(Section):
    """Valkey for shared rate limits and cached predictions."""

    enabled: bool
    memory_mib: Annotated[int, Field(ge=16)]


class TrainingSettings(Section):
    """Scheduled retraining, of the model `churn` and of further ones."""

    schedule: Cron
    source: Source
    rows: Annotated[int, Field(ge=1000)]
    bootstrap: bool = Field(description="Train and promote a first version when the stack comes up without one.")
    spot: bool
    retrain_on_drift: bool = Field(description="Start a run while an alert of drift fires; its gates still decide.")
    contract: ContractPath = BUILT_IN
    models: TrainedModels = Field(
        default={}, description="Further models by name. Optional, since most stacks train one."
    )
    resources: Resources

    @property
    def trained(self) -> dict[str, TrainedModel]:
        """Every model that the cluster trains, by name; the first is `churn`, which the section itself describes."""
        own = TrainedModel(source=self.source, contract=self.contract, schedule=self.schedule)
        return {MODEL_NAME: own, **self.models}


class PrometheusSettings(Section):
    """Metrics and their rules."""

    replicas: Replicas
    retention_days: Positive
    storage_gib: Positive
    resources: Resources


class ThanosSettings(Section):
    """The metrics of all Prometheus replicas as one, kept in a bucket."""

    enabled: bool
    replicas: Replicas
    retention_days: Positive
    storage_gib: Positive
    """Volume of the compactor, which unpacks one block at a time."""


class GrafanaSettings(Section):
    """Dashboards."""

    replicas: Replicas


class BackupSettings(Section):
    """Daily backups, the quarterly drill, and restores."""

    retention_days: Positive
    storage_gib: Positive
    scratch_gib: Positive
    """Room that a drill or a restore reserves on its node's disk: a drill needs it for a copy of everything."""
    time_zone: Annotated[str, Field(pattern=r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$")]


class Settings(Section):
    """One stack's whole configuration."""

    stack: str
    cluster: ClusterSettings
    account: AccountSettings
    network: NetworkSettings
    eks: EksSettings
    addons: AddonSettings
    rds: RdsSettings
    buckets: BucketSettings
    secrets: SecretSettings
    edge: EdgeSettings
    budget: BudgetSettings
    runner: RunnerSettings
    thanos: ThanosSettings
    grafana: GrafanaSettings
    images: ImageSettings
    namespaces: NamespaceSettings
    state: StateSettings
    ingress: IngressSettings
    api: ApiSettings
    mlflow: MlflowSettings
    database: DatabaseSettings
    cache: CacheSettings
    training: TrainingSettings
    prometheus: PrometheusSettings
    alertmanager: AlertmanagerSettings
    backup: BackupSettings

    @model_validator(mode="after")
    def _proxy(self) -> Self:
        """Kubernetes lets kube-proxy be no newer than the API server; EKS has builds of it for each version."""
        if not self.addons.kube_proxy.startswith(f"v{self.eks.version}."):
            raise ValueError(
                f"addons.kube_proxy is {self.addons.kube_proxy!r} but eks.version is {self.eks.version!r}: take a "
                "build of that version; `python -m ops.stack.eks_versions` writes both"
            )
        return self

    @model_validator(mode="after")
    def _served(self) -> Self:
        """Nobody would use what is trained but not served, so it is rather a name with a mistake."""
        idle = [name for name in self.training.models if name not in self.api.models]
        if idle:
            raise ValueError(
                f"training.models has {', '.join(map(repr, idle))}, which api.models {list(self.api.models)} does not "
                "serve: correct the name, or add it there"
            )
        return self

    @property
    def registered_models(self) -> tuple[str, ...]:
        """Every model that the stack serves or trains, each once."""
        return tuple(dict.fromkeys([*self.api.models, *self.training.trained]))

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.cluster.kind == "local" and self.database.kind == "rds":
            raise ValueError(
                "database.kind is 'rds' but cluster.kind is 'local': RDS is only available with EKS; use 'in-cluster'"
            )
        if self.edge.balancer == "alb" and self.eks.nodes == "managed":
            raise ValueError(
                "edge.balancer is 'alb' but eks.nodes is 'managed': only Auto Mode can create an ALB; use 'nlb'"
            )
        if self.cluster.kind == "local" and self.mlflow.replicas > 1:
            raise ValueError(
                f"mlflow.replicas is {self.mlflow.replicas} but the artifacts are on the volume of one node: use 1"
            )
        if self.cluster.kind == "local" and self.thanos.enabled:
            raise ValueError(
                "thanos.enabled is true but cluster.kind is 'local': Thanos stores metrics in S3; use false"
            )
        return self
