"""A stack and an account that gives recorded answers, for the checks of `churn aws preflight`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from botocore.stub import Stubber
from support.recorder import settings

from infra.config import Settings
from ops.stack.doctor_checks import Finding
from ops.stack.preflight_asked import Asked

REGION = "eu-central-1"
Answers = Mapping[str, list[tuple[str, Any]]]


def asked(answers: Answers | None = None, stack: str = "staging", **sections: Any) -> Asked:
    """A stack whose account gives recorded answers for some services, each in turn, and moto's for the others."""
    stubbed: dict[str, Any] = {}
    for service, known in (answers or {}).items():
        stubbed[service] = boto3.client(service, region_name=REGION)
        stubber = Stubber(stubbed[service])
        for method, answer in known:
            if isinstance(answer, str):
                stubber.add_client_error(method, answer)
            else:
                stubber.add_response(method, answer)
        stubber.activate()
    changed: Settings = settings(stack)
    for section, values in sections.items():
        changed = changed.model_copy(update={section: getattr(changed, section).model_copy(update=values)})
    return Asked(
        settings=changed,
        client=lambda service: stubbed.get(service) or boto3.client(service, region_name=REGION),
    )


def one(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding
