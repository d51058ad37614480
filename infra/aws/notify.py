"""The function that tells people of AWS' alarms and events, by the channels and with the secret of Alertmanager."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import cloudwatch, lambda_

from infra.aws import functions
from infra.aws.scope import Scope
from infra.config_alerts import AlertmanagerSettings
from infra.edges import SMTP
from infra.kit.iam import Statement
from infra.kit.options import child
from infra.workloads.alertmanager_config import CHANNELS_OF, channels

PACKAGE: Final = "notify"
SECONDS: Final = 60


@dataclass(frozen=True, kw_only=True)
class NotifyArgs:
    """The stack, the receivers' secret, and the keys."""

    scope: Scope
    receivers: pulumi.Input[str]
    """ARN of the receivers' secret."""
    secret_key: pulumi.Input[str]
    log_key: pulumi.Input[str]


class Notify(pulumi.ComponentResource):
    """Log group, role, function, and the rules that call it for events which have no metric."""

    function: lambda_.Function

    def __init__(self, name: str, args: NotifyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Notify", name, {}, opts)
        scope = args.scope
        allowed = [
            Statement(sid="Receivers", actions=["secretsmanager:GetSecretValue"], resources=[args.receivers]),
            Statement(sid="Key", actions=["kms:Decrypt"], resources=[args.secret_key]),
        ]
        role_args = functions.RoleArgs(scope=scope, package=PACKAGE, log_key=args.log_key, statements=allowed)
        own, _ = functions.role(self, name, role_args)
        function_args = functions.FunctionArgs(
            scope=scope,
            package=PACKAGE,
            description="Tells people of AWS' alarms: ops/jobs/notify",
            role=own,
            key=args.secret_key,
            seconds=SECONDS,
            mebibytes=128,
            variables={
                "RECEIVERS": json.dumps(receivers(scope.settings.alertmanager), sort_keys=True),
                "RECEIVERS_SECRET": args.receivers,
                "STACK": scope.settings.stack,
            },
        )
        self.function = functions.function(self, name, function_args)
        for role, pattern in events(scope).items():
            self._rule(name, role, pattern)
        self.register_outputs({})

    def _rule(self, name: str, role: str, pattern: dict[str, Any]) -> None:
        rule = cloudwatch.EventRule(
            f"{name}-{role}",
            description=f"Events of the {role} that people hear of",
            event_pattern=json.dumps(pattern, sort_keys=True),
            opts=child(self),
        )
        functions.call_by(self, rule, f"{name}-{role}", self.function)


def events(scope: Scope) -> dict[str, dict[str, Any]]:
    """Return the patterns of the events that people hear of.

    A failover is an event of RDS and has no metric (RDS' user guide, "Amazon RDS event categories and event messages").
    Those of a rotation come only where the account has a trail (Secrets Manager's user guide, "CloudTrail entries").
    The alarm on the function's errors needs none, but sees neither RDS' own rotation nor a function that is not called.
    """
    own = [scope.arn("secretsmanager", f"secret:{prefix}") for prefix in (f"{scope.prefix}/", "rds!")]
    rotation = {
        "source": ["aws.secretsmanager"],
        "detail-type": ["AWS Service Event via CloudTrail"],
        "detail": {
            "eventName": ["RotationFailed", "RotationAbandoned"],
            "additionalEventData": {"SecretId": [{"prefix": prefix} for prefix in own]},
        },
    }
    if not scope.has_database:
        return {"rotation": rotation}
    database = {
        "source": ["aws.rds"],
        "detail-type": ["RDS DB Instance Event"],
        "detail": {"EventCategories": ["failover", "failure"], "SourceIdentifier": [scope.prefix]},
    }
    return {"database": database, "rotation": rotation}


def receivers(settings: AlertmanagerSettings) -> dict[str, Any]:
    """Return who hears of what, as `ops/jobs/notify` reads it: the channels of Alertmanager, by severity."""
    on = channels(settings)
    return {
        "channels": {
            severity: [channel for channel in chosen if channel in on] or on for severity, chosen in CHANNELS_OF.items()
        },
        "docs_url": settings.docs_url,
        "slack_channel": settings.slack_channel,
        "email_to": settings.email_to,
        "email_from": settings.email_from,
        "smtp_host": settings.smtp_host,
        "smtp_port": SMTP,
        "smtp_user": settings.smtp_user,
    }
