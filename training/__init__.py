"""Training: from customer data to an evaluated, exported and registered model, and the scoring of files."""

import os

# Read when MLflow is first imported: nothing about a run is sent to anybody but the tracking server it names.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
