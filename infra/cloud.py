"""What the cluster half of the program needs of the cloud half: the seam between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pulumi

from infra.secret_files import SecretSource

ANYWHERE = ("0.0.0.0/0",)


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where PostgreSQL answers."""

    host: pulumi.Input[str]
    port: int = 5432
    cidrs: tuple[str, ...] = ()
    """Networks of a database outside of the cluster; empty when it is a pod."""

    @property
    def ssl_mode(self) -> str:
        """As libpq calls it: encrypted outside of the cluster, where no network policy ends at the database."""
        return "require" if self.cidrs else "disable"


@dataclass(frozen=True, kw_only=True)
class Spot:
    """How interruptible work finds its nodes: the label they carry and the taint it must tolerate."""

    label: tuple[str, str]
    taint: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class LoadBalancer:
    """An NLB, which passes connections on, or an ALB, which understands requests and can have a firewall.

    Both show clients the public certificate and encrypt again towards NGINX.
    """

    kind: Literal["nlb", "alb"]
    auto_mode: bool
    """Whether EKS Auto Mode makes it, which has names of its own for the classes."""
    certificate_arn: pulumi.Input[str]
    tags: Mapping[str, str]
    vpc_cidr: str
    firewall_arn: pulumi.Input[str] | None = None


@dataclass(frozen=True, kw_only=True)
class CloudOutputs:
    """Everything around the cluster, for a laptop as for AWS.

    ``secrets`` has a source for each of `infra.secret_files.ALL`. ``roles`` gives the IAM role of a service account by
    its workload's name. A bucket that is None means a volume. The CIDRs bound what network policies open.
    """

    secrets: Mapping[str, SecretSource]
    database: Database
    region: str | None = None
    storage_class: str | None = None
    """None takes the cluster's default class."""
    artifacts_bucket: pulumi.Input[str] | None = None
    backups_bucket: pulumi.Input[str] | None = None
    roles: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    pod_identity: bool = False
    """Whether pods get their role from the cluster rather than from their service account's annotation."""
    zones: int = 1
    spot: Spot | None = None
    api_server_cidrs: tuple[str, ...] = ANYWHERE
    node_cidrs: tuple[str, ...] = ANYWHERE
    dns_cidrs: tuple[str, ...] = ()
    """Where DNS answers outside of the pods of kube-system."""
    load_balancer: LoadBalancer | None = None
    """What AWS puts in front of NGINX."""
    data_bucket: pulumi.Input[str] | None = None
    metrics_bucket: pulumi.Input[str] | None = None
    kubeconfig: pulumi.Output[str] | None = None
    """Of a cluster that the stack makes; None where there is one already."""
    capacity: Callable[[pulumi.ResourceOptions], pulumi.Resource] | None = None
    """Makes nodes and storage classes, once there is a provider for the inside of the cluster."""
    addresses: Callable[[pulumi.Input[str]], pulumi.Resource] | None = None
    """Gives the stack's hosts the address of a load balancer."""
    outputs: Mapping[str, pulumi.Input[object]] = field(default_factory=dict)
    """What people need to know of it."""
    first_api_key: pulumi.Output[str] | None = None
    """A key made for the first requests, where the stack makes its keys itself."""
