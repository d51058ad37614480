"""Every alert can fire at values that its stack can reach, and each says why.

A case of `tests/rules/cases` shows that an expression fires at some values. These tests show that those values can come
about. An alert about a state (a zero, a one, something absent) is listed with the event that causes it. An alert about
any other number is listed with what moves the measured value past it: time, a share of a whole, or a ceiling, which is
computed from each stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from support import reach
from support.recorder import STACKS, settings

from infra.config import Settings
from infra.connections import LOGIN_LIMITS, MAX_CONNECTIONS, RDS_MAX_CONNECTIONS, RESERVED
from infra.rules_files import rule_files
from ops.stack.demand import quantity

Alerts = dict[str, tuple[str, dict[str, Any]]]

STATES: Final = {
    "AlertmanagerConfigBad": "a mistake in the configuration that a rollout brings",
    "AlertmanagerDown": "every pod is gone; Prometheus shows it, the dead man's service tells people",
    "AlertmanagerNotificationsFailing": "a channel refuses a message",
    "AlertmanagerReplicaDown": "a pod of the StatefulSet is not ready",
    "ApiAtMaximumReplicas": "the autoscaler wants what it may have at most",
    "ApiAutoscalerInactive": "a cluster has no metrics-server, as kind has none by itself",
    "ApiDown": "every pod is gone",
    "ApiKeysFileInvalid": "a rotation writes a file that cannot be read",
    "ApiPodDown": "one pod is gone",
    "BackupExpiryFailed": "a schedule that no success follows",
    "BackupVersionsBroken": "a copy misses a file of one registered version",
    "BlackboxDown": "its only pod is gone",
    "CacheDown": "its only pod is gone",
    "ContainerOutOfMemory": "a container needs more than its limit",
    "EdgeProbeFailing": "the edge answers the probe with anything but 200",
    "GrafanaDown": "every pod is gone",
    "IngressDown": "every pod is gone",
    "IngressReloadFailed": "NGINX refuses what the controller wrote",
    "JobFailed": "a job has used up its retries",
    "KubeStateMetricsDown": "its only pod is gone",
    "MlflowDown": "no pod is ready",
    "MlflowGcFailed": "a scheduled run fails",
    "ModelAliasMovedByHand": "somebody moves the alias in MLflow's pages",
    "ModelMissing": "the pods of a new stack wait for a first version",
    "ModelRefused": "a version is damaged, or was refused by its gates",
    "ModelStale": "a pod cannot load the version that the alias names",
    "NodeDown": "a kubelet does not answer",
    "NodeExporterMissing": "a pod of the DaemonSet cannot be scheduled",
    "PostgresDeadlocks": "two transactions wait for each other",
    "PostgresDown": "its only pod is gone",
    "PostgresExporterDown": "its only pod is gone",
    "PostgresRefuses": "the password of the exporter is an old one",
    "PodNotReady": "a pod waits for a node or fails its probe",
    "PrometheusConfigBad": "a mistake in the configuration that a rollout brings",
    "PrometheusNoAlertmanager": "no pod of Alertmanager exists, or Prometheus may not list pods",
    "PrometheusNotificationsDropped": "Alertmanager answers no request for minutes",
    "PrometheusReplicaDown": "one of several pods is not ready; the only one evaluates nothing while it is not",
    "PrometheusRuleFailures": "two series match where one is expected",
    "PushgatewayDown": "its only pod is gone",
    "RegistryUnreachable": "MLflow does not answer",
    "ThanosCompactDown": "its only pod is gone",
    "ThanosCompactHalted": "blocks overlap",
    "ThanosQueryDown": "no pod is ready",
    "ThanosSidecarDown": "the container of one Prometheus cannot start",
    "ThanosStoreDown": "no pod is ready",
    "ThanosUploadsFailing": "the role of Prometheus may no longer write to the bucket",
    "TrainingFailed": "a scheduled run fails",
    "TrainingRefused": "a gate refuses the version",
    "Watchdog": "always",
}
"""By alert, the event that brings its state about."""

TIMES: Final = {
    "BackupMissing": "the time since the last success grows",
    "CertificateExpiresSoon": "the time left shrinks",
    "CertificateExpiring": "the time left shrinks",
    "DrillMissing": "the time since the last success grows",
    "ModelOld": "the age grows",
    "PostgresTransactionOld": "it grows; the server ends what waits for its client, but neither work nor waits",
}
"""By alert, the time that grows or shrinks without end."""

SHARES: Final = {
    "ApiAvailabilityBurnFast": "no failed requests to all of them",
    "ApiAvailabilityBurnSlow": "no failed requests to all of them",
    "ApiLatencyBurnFast": "no slow requests to all of them",
    "ApiLatencyBurnSlow": "no slow requests to all of them",
    "ApiRateLimitSurge": "no refused requests to all of them",
    "ApiTrafficDrop": "none of last week's requests to all of them",
    "BackupVolumeFilling": "all of it to none",
    "CacheSlow": "no requests that a pod counts alone to all of them",
    "ContainerThrottled": "no periods to all of them; every container has a limit",
    "NodeMemoryLow": "all of it to none; the kubelet evicts at 100 MiB, which is less on every node with over 1.3 GiB",
    "NodeDiskFilling": "all of it to none; the kubelet evicts pods there, which frees nothing that others wrote",
    "NodeDiskWillFill": "all of it to none",
    "QuotaNearlyUsed": "none to all; the API server refuses pods beyond it",
    "VolumeFilling": "all of it to none",
    "VolumeWillFill": "all of it to none",
}
"""By alert, from where to where its share of a whole goes."""

MEASURED: Final = {
    "FeatureDrift": "tests/unit/rules/test_drift.py",
    "ScoreDrift": "tests/unit/rules/test_drift.py",
}
"""Alerts whose threshold is computed by rules from the data; a test measures how often they fire."""

CEILINGS: Final[dict[str, Callable[[Settings], float]]] = {
    "ApiKeySurge": lambda stack: stack.ingress.client_requests_per_second,
    "ApiSaturated": lambda stack: min(1, quantity(stack.api.resources.cpu_limit)),
    "ApiTrafficSurge": lambda stack: stack.ingress.client_requests_per_second,
    "BudgetExceeded": lambda stack: reach.pods_month(stack.stack, busy=True),
    # One prediction a day is the least for which there is a price.
    "CostPerPredictionHigh": lambda stack: reach.serving_day(stack.stack) * 1000,
    "ModelVersionsDisagree": lambda stack: stack.api.min_replicas,
    # A crashing container waits for at most five minutes between its starts.
    "PodRestarting": lambda _: 15 * 60 / 300,
    "PostgresConnectionsHigh": lambda stack: (
        sum(LOGIN_LIMITS.values()) / RDS_MAX_CONNECTIONS
        if stack.database.kind == "rds"
        else (sum(LOGIN_LIMITS.values()) + RESERVED) / MAX_CONNECTIONS
    ),
    "PrometheusSampleLimit": lambda stack: reach.series_in(stack.prometheus.resources.memory_limit),
    "TargetDown": lambda _: 100,
}
"""By alert, the highest value that its stack can reach; the alert's last number must be below it."""

ONLY_IN: Final[dict[str, Callable[[Settings], bool]]] = {
    "PrometheusReplicaDown": lambda stack: stack.prometheus.replicas > 1,
}
"""Alerts that cannot fire in some stacks; `STATES` says why."""

THRESHOLDS: Final[dict[str, Callable[[Settings], float]]] = {
    "BudgetExceeded": lambda stack: stack.budget.pods_monthly_usd,
    # The last number of the expression is another one.
    "ApiSaturated": lambda _: 0.85,
    "ApiTrafficSurge": lambda _: 4 * 0.1,
}
"""By alert, the number that a measured value has to pass, where it is not the last number of the expression."""
LEAST_REQUESTS: Final = 5
"""Failed or slow answers below which a share of them says nothing."""
DAYS_AHEAD, HOURS_A_DAY, SECONDS_AN_HOUR = 4, 24, 3600
"""Factors of the time for which alerts about disks look ahead."""


def numbers(expression: str) -> list[float]:
    """The numbers that an expression compares or calculates with; not those in names, strings, ranges and offsets."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|offset \w+|\"[^\"]*\"", " ", expression)
    return [float(number) for number in re.findall(r"(?<![\w.:])\d+(?:\.\d+)?(?![\w.])", bare)]


def test_numbers_are_found_in_an_expression() -> None:
    assert numbers('a:b1h{c="7"}[5m] > 0.5 and x offset 1w < 26 * 3600 or label_replace(y, "5", "$1")') == [
        0.5,
        26,
        3600,
    ]


def test_every_alert_says_why_it_can_fire(alerts: Alerts) -> None:
    tables = (STATES, TIMES, SHARES, MEASURED, CEILINGS)
    listed = [name for table in tables for name in table]
    assert sorted(listed) == sorted(alerts), "list each alert once"


def test_a_state_is_compared_with_nothing_but_zero_and_one(alerts: Alerts) -> None:
    compared = {name: numbers(alerts[name][1]["expr"]) for name in STATES}
    assert {name: values for name, values in compared.items() if set(values) - {0, 1}} == {}


def test_a_share_is_compared_with_a_share(alerts: Alerts) -> None:
    for name in SHARES:
        compared = set(numbers(alerts[name][1]["expr"])) - {0, LEAST_REQUESTS, DAYS_AHEAD, HOURS_A_DAY, SECONDS_AN_HOUR}
        assert compared, name
        assert all(0 < number < 1 for number in compared), name


def test_a_time_is_one(alerts: Alerts) -> None:
    for name in TIMES:
        assert re.search(r"time\(\)|_seconds|_duration", alerts[name][1]["expr"]), name


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", sorted(CEILINGS))
def test_its_stack_can_reach_more_than_an_alert_allows(name: str, stack: str, alerts: Alerts) -> None:
    chosen = settings(stack)
    own = THRESHOLDS.get(name)
    threshold = own(chosen) if own else numbers(alerts[name][1]["expr"])[-1]
    assert CEILINGS[name](chosen) > threshold


@pytest.mark.parametrize("stack", STACKS)
def test_pods_at_rest_are_within_their_budget(stack: str) -> None:
    """`BudgetExceeded` fires between the pods at rest and the API at the autoscaler's maximum."""
    rest, busy = reach.pods_month(stack, busy=False), reach.pods_month(stack, busy=True)
    assert rest < settings(stack).budget.pods_monthly_usd < busy


@pytest.mark.parametrize("name", sorted(ONLY_IN))
def test_an_alert_of_some_stacks_alone_can_fire_in_one(name: str) -> None:
    assert name in STATES
    assert any(ONLY_IN[name](settings(stack)) for stack in STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_each_stack_has_its_own_budget_in_its_rules(stack: str) -> None:
    budget = settings(stack).budget.pods_monthly_usd
    assert f"vector({budget})" in reach.rules_of(stack)["prices.yaml"]
    assert "vector(7)" in rule_files((), 7)["prices.yaml"]
