"""What an event of AWS reports, in the form in which people hear of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

RUNBOOK: Final = "docs/runbooks/aws.md"
SEVERITIES: Final = ("critical", "warning", "info")
OK: Final = "OK"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing that happened."""

    name: str
    severity: str
    summary: str
    detail: str
    runbook: str
    stack: str
    key: str
    """The same for the beginning and the end of one thing."""
    resolved: bool = False

    @property
    def title(self) -> str:
        """One line, as Alertmanager writes it."""
        state = "RESOLVED" if self.resolved else "FIRING"
        return f"[{state}] {self.severity}: {self.name} ({self.stack})"

    def text(self, docs_url: str) -> str:
        """Return what happened and where its runbook is; ``docs_url`` is the address of the repository, or empty."""
        base = f"{docs_url.rstrip('/')}/" if docs_url else ""
        return f"{self.summary}\n{self.detail}\nRunbook: {base}{self.runbook}"


def notices(event: Mapping[str, Any], stack: str) -> Iterator[Notice]:
    """Return what an event reports: of SNS, one for each alarm in it; of EventBridge, one.

    Raises:
        ValueError: the event is of no kind that the stack subscribes to.
    """
    if "Records" in event:
        for record in event["Records"]:
            yield alarm(json.loads(record["Sns"]["Message"]), stack)
    elif event.get("source") == "aws.rds":
        yield database(event, stack)
    elif event.get("source") == "aws.secretsmanager":
        yield rotation(event, stack)
    else:
        raise ValueError(f"an event of {event.get('source', 'an unknown source')}: the stack does not ask for any")


def alarm(message: Mapping[str, Any], stack: str) -> Notice:
    """Read a message of CloudWatch; the alarm's description is `severity: summary`, a line break, and the runbook.

    An alarm whose description says no severity is treated as critical: better one page too many.
    """
    head, _, runbook = (message.get("AlarmDescription") or "").partition("\n")
    severity, _, summary = head.partition(": ")
    known = severity in SEVERITIES
    return Notice(
        name=message["AlarmName"],
        severity=severity if known else "critical",
        summary=summary if known else head,
        detail=f"{message['NewStateReason']} Since {message['StateChangeTime']}.",
        runbook=runbook or RUNBOOK,
        stack=stack,
        key=message["AlarmName"],
        resolved=message["NewStateValue"] == OK,
    )


def database(event: Mapping[str, Any], stack: str) -> Notice:
    """Read an event of RDS, which has a beginning and no end."""
    detail = event["detail"]
    return Notice(
        name="DatabaseEvent",
        severity="warning",
        summary=f"RDS reports of {detail['SourceIdentifier']}: {detail['Message']}",
        detail=f"{detail['EventID']} at {event['time']}.",
        runbook=f"{RUNBOOK}#databaseevent",
        stack=stack,
        key=str(event["id"]),
    )


def rotation(event: Mapping[str, Any], stack: str) -> Notice:
    """Read an event of Secrets Manager about a rotation that ended without a new value."""
    detail = event["detail"]
    secret = detail.get("additionalEventData", {}).get("SecretId", "a secret")
    return Notice(
        name="RotationFailed",
        severity="warning",
        summary=f"Secrets Manager could not rotate {secret}",
        detail=f"{detail['eventName']} at {event['time']}; the old value stays in force.",
        runbook=f"{RUNBOOK}#rotationfailed",
        stack=stack,
        key=str(event["id"]),
    )
