"""Options that several commands share."""

from __future__ import annotations

import sys
from typing import Annotated, Final, Literal

import typer

HELP_STYLE: Final[Literal["rich"] | None] = "rich" if sys.stdout.isatty() else None
"""Boxes and colours on a terminal; plain lines in a pipe or a file."""

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output, all else on stderr.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        help="Address of MLflow. Without it: the server of a running 'churn up', else one started for this command.",
    ),
]
