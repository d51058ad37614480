"""The one home of the metrics that jobs push: backups, restore drills and training runs.

`app/metrics.py` has those of the API. A test holds rules, dashboards and docs/dr.md against these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BACKUP_LAST_RUN: Final = "churn_backup_last_run_timestamp_seconds"
BACKUP_LAST_SUCCESS: Final = "churn_backup_last_success_timestamp_seconds"
BACKUP_SUCCESS: Final = "churn_backup_success"
BACKUP_DURATION: Final = "churn_backup_duration_seconds"
BACKUP_BYTES: Final = "churn_backup_bytes"
BACKUP_NEW_BYTES: Final = "churn_backup_new_bytes"
BACKUP_FILES: Final = "churn_backup_files"
BACKUP_KEPT: Final = "churn_backup_kept"
BACKUP_BROKEN_VERSIONS: Final = "churn_backup_broken_versions"
BACKUP_FREE_BYTES: Final = "churn_backup_free_bytes"
BACKUP_VOLUME_BYTES: Final = "churn_backup_volume_bytes"

DRILL_LAST_RUN: Final = "churn_drill_last_run_timestamp_seconds"
DRILL_LAST_SUCCESS: Final = "churn_drill_last_success_timestamp_seconds"
DRILL_SUCCESS: Final = "churn_drill_success"
DRILL_RTO: Final = "churn_drill_rto_seconds"
DRILL_RPO: Final = "churn_drill_rpo_seconds"
DRILL_BACKUP_TIME: Final = "churn_drill_backup_timestamp_seconds"
DRILL_VERSIONS: Final = "churn_drill_versions"

TRAINING_LAST_RUN: Final = "churn_training_last_run_timestamp_seconds"
TRAINING_LAST_SUCCESS: Final = "churn_training_last_success_timestamp_seconds"
TRAINING_DURATION: Final = "churn_training_duration_seconds"
TRAINING_VERDICT: Final = "churn_training_verdict"
TRAINING_ROWS: Final = "churn_training_rows"
TRAINING_AUC: Final = "churn_training_auc"

BACKUP: Final[Mapping[str, str]] = {
    BACKUP_LAST_RUN: "When the last backup of this kind ended, successfully or not.",
    BACKUP_LAST_SUCCESS: "When a backup of this kind last succeeded, its upload included.",
    BACKUP_SUCCESS: "1 if the last backup of this kind succeeded, else 0.",
    BACKUP_DURATION: "How long the last successful backup of this kind took.",
    BACKUP_BYTES: "Size of the last successful backup of this kind.",
    BACKUP_NEW_BYTES: "How many of those bytes no earlier backup had: all of a dump, the new contents of artifacts.",
    BACKUP_FILES: "Files of the last successful backup of this kind.",
    BACKUP_KEPT: "Finished backups of this kind on the volume.",
    BACKUP_BROKEN_VERSIONS: "Registered versions whose artifacts were not all there at the last copy.",
    BACKUP_FREE_BYTES: "Free space of the volume of the backups after the last one, successful or not.",
    BACKUP_VOLUME_BYTES: "Size of that volume.",
}
"""Help texts of the job `backup`, whose series have the label `kind`."""
DRILL: Final[Mapping[str, str]] = {
    DRILL_LAST_RUN: "When the last restore drill ended, successfully or not.",
    DRILL_LAST_SUCCESS: "When a restore last proved a backup.",
    DRILL_SUCCESS: "1 if the last restore drill succeeded, else 0.",
    DRILL_RTO: "How long the last successful drill took to restore everything.",
    DRILL_RPO: "The most data that could be lost, in seconds: the longest gap between the existing backups.",
    DRILL_BACKUP_TIME: "When the backup that the last successful drill restored was taken.",
    DRILL_VERSIONS: "Model versions that the last successful drill loaded.",
}
"""Help texts of the job `drill`."""
TRAINING: Final[Mapping[str, str]] = {
    TRAINING_LAST_RUN: "When the last training run ended.",
    TRAINING_LAST_SUCCESS: "When a training run last staged a version.",
    TRAINING_DURATION: "How long the last training run took.",
    TRAINING_VERDICT: "1 for the last run's verdict, 0 for every other.",
    TRAINING_ROWS: "Number of customers that the last model was trained on.",
    TRAINING_AUC: "AUC of the last trained model on its holdout.",
}
"""Help texts of the job `training`, whose series have the label `model`; the verdict has the label `verdict` too."""
HELP: Final[Mapping[str, str]] = {**BACKUP, **DRILL, **TRAINING}
JOBS: Final[Mapping[str, Mapping[str, str]]] = {"backup": BACKUP, "drill": DRILL, "training": TRAINING}
"""Metrics by the job that pushes them."""
LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(BACKUP, ("kind",)),
    **dict.fromkeys(TRAINING, ("model",)),
    TRAINING_VERDICT: ("model", "verdict"),
}
"""Labels of a metric besides `job`, if it has any."""


def series(name: str, **labels: str) -> str:
    """Write a metric with labels of its own as Prometheus does: ``name{label="value"}``."""
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inner}}}" if inner else name
