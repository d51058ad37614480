"""Sections for a stack on AWS; where ``cluster.kind`` is `local` they are validated but not used."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from infra.config_types import Cidr, Positive, Section

_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]+")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CONNECTION: Final = r"^(arn:aws[a-z-]*:code(connections|star-connections):[a-z0-9-]+:\d{12}:connection/[\w-]+)?$"
RETENTION_DAYS: Final = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
"""The retentions of logs that CloudWatch offers."""
WORLD: Final = "0.0.0.0/0"


def _principal(text: str) -> str:
    if not _ARN.fullmatch(text):
        raise ValueError("write the ARN of an IAM role or user")
    return text


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError("write an e-mail address")
    return text


def _log_days(days: int) -> int:
    if days not in RETENTION_DAYS:
        raise ValueError(f"CloudWatch keeps logs for one of {', '.join(map(str, RETENTION_DAYS))} days")
    return days


Principal = Annotated[str, AfterValidator(_principal)]
Email = Annotated[str, AfterValidator(_email)]
LogDays = Annotated[int, AfterValidator(_log_days)]
Build = Annotated[str, Field(pattern=r"^v\d+\.\d+\.\d+-eksbuild\.\d+$")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]


class AccountSettings(Section):
    """Account and region, and the tags by which costs are allocated."""

    region: Region
    account_id: str = Field(
        pattern=r"^(\d{12})?$",
        description="The only account that the stack may use; empty takes that of the credentials.",
    )
    owner: str = Field(pattern=r"^[\w.@+-]+$", description="Cost-allocation tag of everything.")
    cost_center: str = Field(pattern=r"^[\w.@+-]+$", description="Cost-allocation tag of everything.")
    baseline: bool = Field(
        description="Whether this stack sets up CloudTrail, GuardDuty and Config; one stack of each account does."
    )


class NetworkSettings(Section):
    """The VPC."""

    cidr: Cidr
    zones: list[str] = Field(description="Names of zones, which pins them; empty takes the region's first ones.")
    zone_count: Annotated[int, Field(ge=2, le=4)]
    nat: Literal["one", "per-zone"]
    log_days: LogDays

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if self.zones and len(self.zones) != self.zone_count:
            raise ValueError(f"zones names {len(self.zones)} but zone_count is {self.zone_count}: make them agree")
        return self


class ManagedNodes(Section):
    """Sizes of managed node groups, for clusters without EKS Auto Mode."""

    instance_types: Annotated[list[str], Field(min_length=1)]
    min_nodes: Positive
    max_nodes: Positive
    disk_gib: Annotated[int, Field(ge=20)]

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.max_nodes < self.min_nodes:
            raise ValueError(f"max_nodes {self.max_nodes} is below min_nodes {self.min_nodes}: raise it or lower that")
        return self


class EksSettings(Section):
    """The cluster and its nodes."""

    version: str = Field(pattern=r"^1\.\d{2}$")
    nodes: Literal["auto", "managed"]
    identity: Literal["irsa", "pod-identity"]
    public_cidrs: list[Cidr] = Field(description="Who may reach the API server from outside; empty makes it private.")
    admins: list[Principal] = Field(
        description="Administrators besides the role of the deployment; whoever runs the first update by hand is one."
    )
    log_days: LogDays
    cpu_limit: Positive
    """Cores of all on-demand nodes of Auto Mode together."""
    spot_cpu_limit: Positive
    managed: ManagedNodes

    @field_validator("public_cidrs")
    @classmethod
    def _restricted(cls, cidrs: list[str]) -> list[str]:
        if WORLD in cidrs:
            raise ValueError(
                f"{WORLD} lets everybody try to connect: name the networks of people and of the deployment"
            )
        return cidrs


class AddonSettings(Section):
    """The build of each add-on of EKS; `infra.aws.addons.builds` says which of them a cluster runs."""

    amazon_cloudwatch_observability: Build
    aws_ebs_csi_driver: Build
    aws_secrets_store_csi_driver_provider: Build
    coredns: Build
    eks_pod_identity_agent: Build
    kube_proxy: Build
    metrics_server: Build
    vpc_cni: Build


class RdsSettings(Section):
    """PostgreSQL for MLflow and Grafana, where ``database.kind`` is `rds`."""

    instance_class: str = Field(pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    storage_gib: Annotated[int, Field(ge=20)]
    max_storage_gib: Annotated[int, Field(ge=20)]
    multi_az: bool
    log_days: LogDays
    backup_days: Annotated[int, Field(ge=1, le=35)]

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max_storage_gib < self.storage_gib:
            raise ValueError(f"max_storage_gib {self.max_storage_gib} is below storage_gib {self.storage_gib}")
        return self


class BucketSettings(Section):
    """Protection of the buckets beyond versions and encryption."""

    object_lock: bool = Field(
        description="Nobody can delete a backup before its time; can be turned on only for a new bucket."
    )
    copy_region: Annotated[str, Field(pattern=r"^([a-z]{2}(-[a-z]+)+-\d)?$")] = Field(
        description="Region with a second copy of the backups, of those of RDS, and of images; empty makes none."
    )


class SecretSettings(Section):
    """Secrets Manager, and rotation of secrets."""

    rotation_days: Annotated[int, Field(ge=1, le=365)]
    overlap_days: Annotated[int, Field(ge=1)] = Field(description="How long an old API key still works.")
    recovery_days: Annotated[int, Field(ge=7, le=30)]
    api_clients: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]], Field(min_length=1)]

    @model_validator(mode="after")
    def _overlap(self) -> Self:
        if self.overlap_days >= self.rotation_days:
            raise ValueError(
                f"overlap_days {self.overlap_days} is not below rotation_days {self.rotation_days}: "
                "an old key must end before the next one comes"
            )
        if len(set(self.api_clients)) != len(self.api_clients):
            raise ValueError("api_clients names a client twice")
        return self


class EdgeSettings(Section):
    """The load balancer in front of NGINX, its DNS names and its firewall."""

    balancer: Literal["nlb", "alb"]
    hosted_zone_id: Annotated[str, Field(pattern=r"^(Z[A-Z0-9]+)?$")] = Field(
        description="Zone of the domain in Route 53; empty creates one."
    )
    internal_cidrs: list[Cidr] = Field(
        description="Private networks besides the VPC, such as a VPN's, that may use MLflow and Grafana."
    )
    waf: bool
    waf_requests_per_5_minutes: Annotated[int, Field(ge=10)]

    @field_validator("internal_cidrs")
    @classmethod
    def _private(cls, cidrs: list[str]) -> list[str]:
        public = [cidr for cidr in cidrs if not IPv4Network(cidr).is_private]
        if public:
            raise ValueError(
                f"{', '.join(public)} is not private: reach MLflow and Grafana through a VPN, or forward their ports"
            )
        return cidrs

    @model_validator(mode="after")
    def _layer(self) -> Self:
        if self.waf and self.balancer != "alb":
            raise ValueError("waf is on but balancer is 'nlb', which cannot have a firewall: use 'alb'")
        return self


class BudgetSettings(Section):
    """The monthly budget, and who hears when it is spent."""

    monthly_usd: Positive
    pods_monthly_usd: Positive = Field(
        description="The part for what pods request, at the prices of infra/prices.json; an alert fires above it."
    )
    emails: list[Email]

    @model_validator(mode="after")
    def _part(self) -> Self:
        if self.pods_monthly_usd > self.monthly_usd:
            raise ValueError(
                f"pods_monthly_usd {self.pods_monthly_usd} is above monthly_usd {self.monthly_usd}, "
                "of which it is a part"
            )
        return self


class RunnerSettings(Section):
    """A runner for the workflows inside the VPC; where both are empty, there is none."""

    repository: Annotated[str, Field(pattern=r"^([\w.-]+/[\w.-]+)?$")] = Field(
        description="GitHub repository whose workflows it runs, OWNER/NAME."
    )
    connection: Annotated[str, Field(pattern=_CONNECTION)] = Field(
        description="ARN of the connection to GitHub, which a person completes in AWS' console."
    )

    @model_validator(mode="after")
    def _both(self) -> Self:
        if bool(self.repository) != bool(self.connection):
            raise ValueError("repository and connection belong together: fill both, or leave both empty for no runner")
        return self
