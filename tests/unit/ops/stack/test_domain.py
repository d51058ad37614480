"""A domain is made ready before its stack, on moto; a second run makes nothing new and says when it is ready."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from support.aws_api import account

from infra.workloads.routes import hosts
from ops.errors import TemporaryError
from ops.stack import domain
from ops.stack.domain import Domain

REGION, NAME = "eu-central-1", "staging.churn.example.com"


@pytest.fixture
def session() -> Iterator[Any]:
    with account():
        yield boto3.Session(region_name=REGION)


def prepared(session: Any) -> list[str]:
    """What one run says; moto issues a certificate once somebody has looked at it."""
    lines = []
    try:
        lines += list(Domain(session, NAME, REGION).prepare())
    except TemporaryError as error:
        lines.append(str(error))
    return lines


def test_it_says_what_to_delegate_and_whether_it_is_done(session: Any) -> None:
    first, second = prepared(session), prepared(session)
    assert first[-1].endswith("PENDING_VALIDATION: delegate the domain, then run this again")
    assert second[-1] == f"the certificate of {NAME} is ISSUED"
    (zone,) = session.client("route53").list_hosted_zones()["HostedZones"]
    assert second[0] == f"churn:edge.hosted_zone_id: {zone['Id'].removeprefix('/hostedzone/')}"
    (summary,) = session.client("acm").list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})[
        "CertificateSummaryList"
    ]
    described = session.client("acm").describe_certificate(CertificateArn=summary["CertificateArn"])["Certificate"]
    assert set(described["SubjectAlternativeNames"]) == set(hosts(NAME))


def test_the_proof_is_in_the_zone(session: Any) -> None:
    prepared(session)
    dns, acm = session.client("route53"), session.client("acm")
    (zone,) = dns.list_hosted_zones()["HostedZones"]
    records = dns.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    proofs = {item["Name"].rstrip(".") for item in records if item["Type"] == "CNAME"}
    (summary,) = acm.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"]
    options = acm.describe_certificate(CertificateArn=summary["CertificateArn"])["Certificate"][
        "DomainValidationOptions"
    ]
    assert proofs == {option["ResourceRecord"]["Name"].rstrip(".") for option in options}
    assert len(proofs) == len(hosts(NAME))


def test_the_program_fails_until_the_certificate_is_issued(session: Any) -> None:
    del session
    assert [domain.main([NAME, "--region", REGION]) for _ in range(2)] == [1, 0]
