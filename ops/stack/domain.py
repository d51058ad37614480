"""Make a stack's domain ready before the stack: ``python -m ops.stack.domain DOMAIN --region eu-central-1``.

AWS issues a certificate only once the parent domain delegates to the zone, which a person does at another company, and
a `pulumi up` that waits for it would outlive its session. This creates the zone, asks for a certificate of the stack's
hosts, and writes down the proof of ownership; run it again until it says ISSUED. The stack's own certificate has the
same proof, since that depends on account and name alone (AWS Certificate Manager user guide, "DNS validation"), so it
is then issued within minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from infra.workloads.routes import hosts
from ops.errors import TemporaryError, exit_code

ISSUED: Final = "ISSUED"
TTL: Final = 300
KEY_TYPES: Final = ("EC_prime256v1", "RSA_2048")
"""Without them, AWS lists certificates with RSA keys alone."""


class Domain:
    """The zone and the certificate of one domain; ``session`` is boto3's."""

    def __init__(self, session: Any, domain: str, region: str) -> None:
        self.domain = domain
        self._dns = session.client("route53")
        self._acm = session.client("acm", region_name=region)

    def prepare(self) -> Iterator[str]:
        """Create what is missing; yields what a person needs to know.

        Raises:
            TemporaryError: AWS has not seen the proof yet, so the domain may not be delegated.
        """
        zone = self._zone()
        servers = self._dns.get_hosted_zone(Id=zone)["DelegationSet"]["NameServers"]
        yield f"churn:edge.hosted_zone_id: {zone}"
        yield f"name servers to enter at the parent domain: {', '.join(servers)}"
        certificate = self._certificate()
        status = certificate["Status"]
        if status != ISSUED:
            self._prove(zone, certificate.get("DomainValidationOptions", []))
            raise TemporaryError(
                f"the certificate of {self.domain} is {status}: delegate the domain, then run this again"
            )
        yield f"the certificate of {self.domain} is {status}"

    def _zone(self) -> str:
        answer = self._dns.list_hosted_zones_by_name(DNSName=self.domain)
        for zone in answer["HostedZones"]:
            if zone["Name"] == f"{self.domain}." and not zone["Config"].get("PrivateZone"):
                return str(zone["Id"].removeprefix("/hostedzone/"))
        created = self._dns.create_hosted_zone(Name=self.domain, CallerReference=f"churn-{self.domain}")
        return str(created["HostedZone"]["Id"].removeprefix("/hostedzone/"))

    def _certificate(self) -> dict[str, Any]:
        first, *others = hosts(self.domain)
        pages = self._acm.get_paginator("list_certificates").paginate(Includes={"keyTypes": [*KEY_TYPES]})
        known = [
            item["CertificateArn"]
            for page in pages
            for item in page["CertificateSummaryList"]
            if item["DomainName"] == first
        ]
        arn = (
            known[0]
            if known
            else self._acm.request_certificate(
                DomainName=first, SubjectAlternativeNames=others, ValidationMethod="DNS", KeyAlgorithm="EC_prime256v1"
            )["CertificateArn"]
        )
        described: dict[str, Any] = self._acm.describe_certificate(CertificateArn=arn)["Certificate"]
        return described

    def _prove(self, zone: str, options: Sequence[dict[str, Any]]) -> None:
        records = [option["ResourceRecord"] for option in options if "ResourceRecord" in option]
        changes = [
            {
                "Action": "UPSERT",
                "ResourceRecordSet": {
                    "Name": record["Name"],
                    "Type": record["Type"],
                    "TTL": TTL,
                    "ResourceRecords": [{"Value": record["Value"]}],
                },
            }
            for record in records
        ]
        if changes:
            self._dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def main(argv: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    import boto3  # noqa: PLC0415 - slow to import, and --help does not need it

    parser = argparse.ArgumentParser(prog="python -m ops.stack.domain", description=__doc__.partition("\n")[0])
    parser.add_argument("domain", help="churn:ingress.domain of the stack")
    parser.add_argument("--region", required=True)
    options = parser.parse_args(argv)
    try:
        for line in Domain(boto3.Session(), options.domain, options.region).prepare():
            print(line)  # noqa: T201 - a program that an administrator runs
    except TemporaryError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - as above
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
