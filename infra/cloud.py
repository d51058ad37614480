"""The interface between the two halves of the program: what the workloads need to know of the cloud around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pulumi

from infra.secret_files import SecretSource

ANYWHERE = ("0.0.0.0/0",)


@dataclass(frozen=True, kw_only=True)
class Database:
    """Address of PostgreSQL."""

    host: pulumi.Input[str]
    port: int = 5432
    cidrs: tuple[str, ...] = ()
    """Networks of a database outside the cluster; empty if it is a pod."""
    certificates: str = ""
    """Authorities that may have signed the certificate of a database outside the cluster, as PEM."""

    @property
    def ssl_mode(self) -> str:
        """Libpq's SSL mode: outside the cluster, connections are encrypted and the server's name is verified."""
        return "verify-full" if self.cidrs else "disable"


@dataclass(frozen=True, kw_only=True)
class Spot:
    """How interruptible work gets onto spot nodes: their label, and the taint that a pod must tolerate."""

    label: tuple[str, str]
    taint: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class LoadBalancer:
    """An NLB, which forwards connections, or an ALB, which understands requests and can have a firewall.

    Both present the public certificate to clients and encrypt again towards NGINX.
    """

    kind: Literal["nlb", "alb"]
    auto_mode: bool
    """Whether EKS Auto Mode creates it, which uses different classes."""
    certificate_arn: pulumi.Input[str]
    tags: Mapping[str, str]
    vpc_cidr: str
    internal_cidrs: tuple[str, ...]
    """Networks whose clients may use what is not public."""
    firewall_arn: pulumi.Input[str] | None = None


@dataclass(frozen=True, kw_only=True)
class CloudOutputs:
    """Everything around the cluster, on a laptop as on AWS.

    ``secrets`` has a source for each of `infra.secret_files.ALL`. ``roles`` has the IAM role of a service account by
    the name of its workload. Where a bucket is None, a volume is used instead. The CIDRs limit what network policies
    open.
    """

    secrets: Mapping[str, SecretSource]
    database: Database
    first_values: pulumi.Resource | None = None
    """What must exist before a pod mounts a secret; None if the secrets themselves have the values."""
    region: str | None = None
    storage_class: str | None = None
    """None means the cluster's default class."""
    artifacts_bucket: pulumi.Input[str] | None = None
    backups_bucket: pulumi.Input[str] | None = None
    roles: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    pod_identity: bool = False
    """Whether EKS gives pods their role, rather than an annotation of their service account."""
    zones: int = 1
    spot: Spot | None = None
    api_server_cidrs: tuple[str, ...] = ANYWHERE
    node_cidrs: tuple[str, ...] = ANYWHERE
    dns_cidrs: tuple[str, ...] = ()
    """Networks with DNS, besides the pods in kube-system."""
    load_balancer: LoadBalancer | None = None
    """The load balancer that AWS puts in front of NGINX."""
    data_bucket: pulumi.Input[str] | None = None
    metrics_bucket: pulumi.Input[str] | None = None
    kubeconfig: pulumi.Output[str] | None = None
    """Access to a cluster that the stack creates; None for an existing one."""
    capacity: Callable[[pulumi.ResourceOptions], pulumi.Resource] | None = None
    """Creates nodes and storage classes, which need a provider for the inside of the cluster."""
    drivers: tuple[pulumi.Resource, ...] = ()
    """What mounts secrets and volumes and defines the kinds of objects that describe them: there before any pod, and
    until the last one is gone."""
    addresses: Callable[[Mapping[str, pulumi.Input[str]]], pulumi.Resource] | None = None
    """Points each host at the address of its load balancer."""
    outputs: Mapping[str, pulumi.Input[object]] = field(default_factory=dict)
    """What the stack exports about the cloud."""
    first_api_key: pulumi.Output[str] | None = None
    """An API key for the first requests, where the stack itself generates the keys."""
