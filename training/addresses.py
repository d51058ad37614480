"""Addresses of MLflow's pages, in a module without imports that any command can use."""

from __future__ import annotations

from typing import Final

VIEW: Final = "figures"
"""Key of the saved view with the figures of all runs."""


def runs_address(experiment_id: str) -> str:
    """Path of the page that shows an experiment's runs in that view, relative to the server's address."""
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW}&workflowType=machine_learning"
