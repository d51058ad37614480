"""Addresses of MLflow's pages; imports nothing, so that any command may show one."""

from __future__ import annotations

from typing import Final

VIEW: Final = "figures"
"""Key of the saved view with the figures of all runs."""


def runs_address(experiment_id: str) -> str:
    """Path of the runs' page with that view in MLflow's view of model training, relative to the server's address."""
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW}&workflowType=machine_learning"
