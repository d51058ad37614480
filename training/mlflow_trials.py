"""Logs the trials of a search to MLflow, each as a run below that of the training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from training.mlflow_store import plain_errors
from training.search import Trial

_MILLISECONDS: Final = 1000


def log(client: MlflowClient, run_id: str, trials: Sequence[Trial]) -> None:
    """Make a finished run for each trial, with its hyper-parameters, its AUC on the folds and the time that it took.

    They are made when the search is over: one that is interrupted leaves nothing behind.

    Args:
        run_id: of the training's own run.

    Raises:
        RegistryError: the server does not take one.
    """
    if not trials:
        return
    with plain_errors(f"cannot log the trials of run {run_id}"):
        experiment = client.get_run(run_id).info.experiment_id
        for number, trial in enumerate(trials, start=1):
            began = round(trial.began * _MILLISECONDS)
            validation = trial.validation
            run = client.create_run(
                experiment,
                start_time=began,
                tags={MLFLOW_PARENT_RUN_ID: run_id},
                run_name=f"trial {number} · {validation.model_type}",
            )
            values = {"cv_auc": validation.mean, "cv_auc_deviation": validation.deviation}
            client.log_batch(
                run.info.run_id,
                metrics=[Metric(name, value, began, 0) for name, value in values.items()],
                params=[
                    Param("model_type", validation.model_type),
                    *(Param(name, str(value)) for name, value in validation.params.items()),
                ],
            )
            client.set_terminated(run.info.run_id, end_time=began + round(trial.seconds * _MILLISECONDS))
