# ruff: noqa: T201  # speaks to the log of a pod's program
"""What backups and drills tell the pushgateway: `docs/dr.md` has the table of names."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Final

SECONDS: Final = 10
PAUSES: Final = (1, 2, 4)
"""Seconds between tries: a job may be done before the network policy of its pod is in force."""

HELP: Final = {
    "churn_backup_last_run_timestamp_seconds": "When the last backup of this kind ended, well or not.",
    "churn_backup_last_success_timestamp_seconds": "When a backup of this kind last succeeded, its upload included.",
    "churn_backup_success": "1 if the last backup of this kind succeeded, else 0.",
    "churn_backup_duration_seconds": "How long the last successful backup of this kind took.",
    "churn_backup_bytes": "Size of the last successful backup of this kind.",
    "churn_backup_new_bytes": "Of these, what was not there before.",
    "churn_backup_files": "Files of the last successful backup of this kind.",
    "churn_backup_kept": "Finished backups of this kind on the volume.",
    "churn_backup_broken_versions": "Registered versions whose artifacts were not all there at the last copy.",
    "churn_drill_last_run_timestamp_seconds": "When the last restore drill ended, well or not.",
    "churn_drill_last_success_timestamp_seconds": "When a backup was last proven by a restore.",
    "churn_drill_success": "1 if the last restore drill succeeded, else 0.",
    "churn_drill_rto_seconds": "How long the last successful drill took to bring everything back.",
    "churn_drill_rpo_seconds": "The most that could have been lost, by the gaps between the backups there are.",
    "churn_drill_backup_timestamp_seconds": "When the backup was taken that the last successful drill restored.",
    "churn_drill_versions": "Model versions that the last successful drill loaded.",
}


def push(gateway: str | None, job: str, figures: Mapping[str, float], **group: str) -> None:
    """Add figures to a group at the pushgateway; a failure to do so is said, and changes nothing else.

    Figures that are not given stay as they were: after a failure, the time of the last success is still there.
    """
    if not gateway:
        return
    from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway  # noqa: PLC0415  # only with a gateway

    registry = CollectorRegistry()
    for name, value in figures.items():
        Gauge(name, HELP[name], registry=registry).set(value)
    for pause in (*PAUSES, None):
        try:
            pushadd_to_gateway(gateway, job=job, grouping_key=group, registry=registry, timeout=SECONDS)
        except (OSError, ValueError) as error:
            if pause is None:
                print(f"the pushgateway at {gateway} was not told of this run: {error}", file=sys.stderr)
            else:
                time.sleep(pause)
        else:
            return
