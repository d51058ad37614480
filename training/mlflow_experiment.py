"""Prepares an experiment for MLflow's pages: kind, description, and a saved view with the figures of all runs."""

from __future__ import annotations

import json
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from training.addresses import VIEW, runs_address
from training.descriptions import only_logged
from training.evaluate import METRICS

KIND_TAG: Final = "mlflow.experimentKind"
VIEW_TAG: Final = f"mlflow.sharedViewState.{VIEW}"

_KIND: Final = "custom_model_development"
_COLUMNS: Final = ("tags.`gate`", *(f"metrics.`{name}`" for name in METRICS), "attributes.`Dataset`")
_ALWAYS_SHOWN: Final = ("attributes.`Run Name`", "runDateAndNestInfo")
_WIDTHS: Final = {
    "attributes.`Run Name`": 370,
    "metrics.`average_precision`": 145,
    "metrics.`calibration_error`": 145,
    "attributes.`Dataset`": 260,
}
"""Widths in pixels of columns whose content is wider than MLflow's default."""


def prepare(client: MlflowClient, experiment: Experiment) -> None:
    """Set what is not set yet; changes made by people stay. If MLflow refuses it, that is only logged.

    MLflow's page of runs shows only the figures that a view selects. The kind says that this is model training and not
    work on a language model, for pages that depend on it; those of MLflow 3.17 depend on the address, or else on what
    the reader used last.
    """
    created = experiment.creation_time or 0
    columns = {"selectedColumns": _COLUMNS, "columnOrder": _ALWAYS_SHOWN + _COLUMNS, "columnWidths": _WIDTHS}
    view = {"name": "Figures", "createdAt": created, "updatedAt": created, "state": json.dumps(columns)}
    note = f"Training runs of the churn model. [Compare their figures]({runs_address(experiment.experiment_id)})."
    tags = {KIND_TAG: _KIND, VIEW_TAG: json.dumps(view), MLFLOW_RUN_NOTE: note}
    with only_logged(f"describe experiment {experiment.name!r} in MLflow"):
        for key, value in tags.items():
            if key not in experiment.tags:
                client.set_experiment_tag(experiment.experiment_id, key, value)
