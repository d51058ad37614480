"""Training: from customer data to an evaluated, exported and registered model, and the scoring of files."""

import os

from app.names import NO_TELEMETRY

# MLflow reads these when it is first imported.
for _name, _value in NO_TELEMETRY.items():
    os.environ.setdefault(_name, _value)
