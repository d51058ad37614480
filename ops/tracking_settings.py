"""What every process with MLflow in it is set to, and the names of the one model; imports nothing of either side."""

from __future__ import annotations

from typing import Final

MODEL_NAME: Final = "churn"
PRODUCTION: Final = "production"

QUIET: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PYTHONUNBUFFERED": "1"}
"""For every process that imports MLflow: nothing is sent to anybody."""
# The job executor serves evaluations of language models: three more processes, none of them of use here.
SERVER_SETTINGS: Final = QUIET | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""For every MLflow server."""
