"""Retention of logs: the network, the cluster and the database each have a setting of their own."""

from __future__ import annotations

import pytest
from support.recorder import record_with, recorded

from ops.stack.recording import Recording


def retention(recording: Recording) -> dict[str, int]:
    """Return the days by the name of the log group."""
    return {
        item.name: item.inputs["retentionInDays"]
        for item in recording.resources
        if item.type == "aws:cloudwatch/logGroup:LogGroup"
    }


@pytest.mark.parametrize(
    ("section", "groups"),
    [
        ("rds", {"database-log-postgresql", "database-log-upgrade"}),
        ("eks", {"compute-cluster-logs", "pod-logs-application", "pod-logs-dataplane", "pod-logs-host"}),
        ("network", {"network-flow-group", "rotation-logs", "watch-notify-logs"}),
    ],
)
def test_a_setting_changes_its_own_logs_and_no_others(section: str, groups: set[str]) -> None:
    before = retention(recorded("staging"))
    after = retention(record_with("staging", **{section: {"log_days": 90}}))
    assert {name for name in before if before[name] != after[name]} == groups
    assert {after[name] for name in groups} == {90}
