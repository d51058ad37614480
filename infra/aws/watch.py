"""Who watches what only AWS sees: the function that tells people, its topic, and every alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from infra.aws import alarm_table as table
from infra.aws import pod_logs
from infra.aws.alarms import Alarms, AlarmsArgs, Topic, TopicArgs
from infra.aws.copy import RULE
from infra.aws.notify import Notify, NotifyArgs
from infra.aws.scope import Scope
from infra.kit.options import child


@dataclass(frozen=True, kw_only=True)
class WatchArgs:
    """The stack, its NAT gateways, the receivers' secret, and the keys."""

    scope: Scope
    nat_gateways: Sequence[pulumi.Input[str]]
    receivers: pulumi.Input[str]
    secret_key: pulumi.Input[str]
    log_key: pulumi.Input[str]


class Watch(pulumi.ComponentResource):
    """Function, topic and alarms; the load balancer's comes once a controller in the cluster has created that."""

    def __init__(self, name: str, args: WatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Watch", name, {}, opts)
        scope, inside = args.scope, pulumi.ResourceOptions(parent=self)
        notify_args = NotifyArgs(
            scope=scope, receivers=args.receivers, secret_key=args.secret_key, log_key=args.log_key
        )
        notify = Notify(f"{name}-notify", notify_args, inside)
        topic_args = TopicArgs(scope=scope, key=args.log_key, function=notify.function)
        self._name, self._scope = name, scope
        self._topic = Topic(f"{name}-alarms", topic_args, inside)
        everything = [
            *(table.database(scope.prefix, scope.settings.rds.storage_gib) if scope.has_database else []),
            *(table.nat(number, gateway) for number, gateway in enumerate(args.nat_gateways, start=1)),
            *(table.function(role, f"{scope.prefix}-{role}") for role in ("rotation", "notify")),
            table.silent_logs(pod_logs.group(scope, "application")),
            *(
                table.backup_copy(scope.bucket("backups"), scope.bucket("backups-copy", second), RULE)
                if (second := scope.settings.buckets.copy_region)
                else []
            ),
        ]
        Alarms(name, AlarmsArgs(scope=scope, topic=self._topic.arn, alarms=everything), inside)
        self.register_outputs({})

    def edge(self, host: pulumi.Input[str]) -> None:
        """Watch the targets of the load balancer that AWS gave this address."""
        alarm = table.edge(self._scope.settings.edge.balancer, host)
        args = AlarmsArgs(scope=self._scope, topic=self._topic.arn, alarms=[alarm])
        Alarms(f"{self._name}-edge", args, child(self))
