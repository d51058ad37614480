"""A domain is made ready before its stack, on moto; a second run makes nothing new and says when it is ready."""

from __future__ import annotations

from typing import Any

import moto.settings
import pytest

from infra.workloads.routes import hosts
from ops.errors import TemporaryError
from ops.stack import domain
from ops.stack.domain import KEY_TYPES, Domain

REGION, NAME = "eu-central-1", "staging.churn.example.com"


def delegated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let AWS see the proof: moto issues a certificate when some time has passed."""
    monkeypatch.setattr(moto.settings, "ACM_VALIDATION_WAIT", -1)


def prepared(session: Any) -> list[str]:
    """What one run says."""
    lines = []
    try:
        lines += list(Domain(session, NAME, REGION).prepare())
    except TemporaryError as error:
        lines.append(str(error))
    return lines


def test_it_says_what_to_delegate_and_whether_it_is_done(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepared(session)
    delegated(monkeypatch)
    second = prepared(session)
    assert first[-1].endswith("PENDING_VALIDATION: delegate the domain, then run this again")
    assert second[-1] == f"the certificate of {NAME} is ISSUED"
    (zone,) = session.client("route53").list_hosted_zones()["HostedZones"]
    assert second[0] == f"churn:edge.hosted_zone_id: {zone['Id'].removeprefix('/hostedzone/')}"
    (summary,) = session.client("acm").list_certificates(Includes={"keyTypes": [*KEY_TYPES]})["CertificateSummaryList"]
    described = session.client("acm").describe_certificate(CertificateArn=summary["CertificateArn"])["Certificate"]
    assert set(described["SubjectAlternativeNames"]) == set(hosts(NAME))


def test_the_proof_is_in_the_zone(session: Any) -> None:
    prepared(session)
    dns, acm = session.client("route53"), session.client("acm")
    (zone,) = dns.list_hosted_zones()["HostedZones"]
    records = dns.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    proofs = {item["Name"].rstrip(".") for item in records if item["Type"] == "CNAME"}
    (summary,) = acm.list_certificates(Includes={"keyTypes": [*KEY_TYPES]})["CertificateSummaryList"]
    options = acm.describe_certificate(CertificateArn=summary["CertificateArn"])["Certificate"][
        "DomainValidationOptions"
    ]
    assert proofs == {option["ResourceRecord"]["Name"].rstrip(".") for option in options}
    assert len(proofs) == len(hosts(NAME))


@pytest.mark.usefixtures("session")
def test_the_program_fails_until_the_certificate_is_issued(monkeypatch: pytest.MonkeyPatch) -> None:
    assert domain.main([NAME, "--region", REGION]) == 1
    delegated(monkeypatch)
    assert domain.main([NAME, "--region", REGION]) == 0
