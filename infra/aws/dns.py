"""The domain's zone in Route 53, and a public certificate for its hosts, validated by records in that zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import acm, route53

from infra.aws.scope import Scope
from infra.kit.options import child, stateful

TTL: Final = 300


@dataclass(frozen=True, kw_only=True)
class DnsArgs:
    """The domain and its hosts."""

    scope: Scope
    domain: str
    hosts: Sequence[str]


class Dns(pulumi.ComponentResource):
    """The zone (unless the stack uses an existing one), the certificate, and the records that validate it."""

    zone_id: pulumi.Output[str]
    name_servers: pulumi.Output[Sequence[str]] | None
    """To be entered at the parent domain; None where the stack uses an existing zone."""
    certificate: pulumi.Output[str]
    """ARN, known only after the certificate has been issued."""

    def __init__(self, name: str, args: DnsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Dns", name, {}, opts)
        existing = args.scope.settings.edge.hosted_zone_id
        self.name_servers = None
        if existing:
            self.zone_id = pulumi.Output.from_input(existing)
        else:
            zone = route53.Zone(
                f"{name}-zone",
                name=args.domain,
                comment="Made by Pulumi",
                opts=stateful(self, args.scope.settings.state),
            )
            self.zone_id, self.name_servers = zone.zone_id, zone.name_servers
        self.certificate = self._certificate(name, args)
        self.register_outputs({"zone_id": self.zone_id})

    def _certificate(self, name: str, args: DnsArgs) -> pulumi.Output[str]:
        certificate = acm.Certificate(
            f"{name}-certificate",
            domain_name=args.hosts[0],
            subject_alternative_names=list(args.hosts[1:]),
            validation_method="DNS",
            key_algorithm="EC_prime256v1",
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=False),
        )
        records = [self._proof(name, index, certificate) for index in range(len(args.hosts))]
        issued = acm.CertificateValidation(
            f"{name}-issued",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn for record in records],
            opts=child(self),
        )
        return issued.certificate_arn

    def _proof(self, name: str, index: int, certificate: acm.Certificate) -> route53.Record:
        """Create one of the records that AWS asks for, one for each name in an order of its own."""
        proof = certificate.domain_validation_options[index]
        return route53.Record(
            f"{name}-proof-{index + 1}",
            zone_id=self.zone_id,
            name=proof.resource_record_name.apply(_known),
            type=proof.resource_record_type.apply(_known),
            records=[proof.resource_record_value.apply(_known)],
            ttl=TTL,
            allow_overwrite=True,
            opts=child(self),
        )


def _known(value: str | None) -> str:
    return value or ""


@dataclass(frozen=True, kw_only=True)
class AddressesArgs:
    """The load balancer of each host."""

    zone_id: pulumi.Input[str]
    balancers: Mapping[str, pulumi.Input[str]]


class Addresses(pulumi.ComponentResource):
    """One record for each host; a load balancer's name is known only after the cluster has created it."""

    def __init__(self, name: str, args: AddressesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Addresses", name, {}, opts)
        for host, balancer in args.balancers.items():
            route53.Record(
                f"{name}-{host.partition('.')[0]}",
                zone_id=args.zone_id,
                name=host,
                type="CNAME",
                records=[balancer],
                ttl=TTL,
                opts=child(self),
            )
        self.register_outputs({})
