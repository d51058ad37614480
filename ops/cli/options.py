"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Final, Literal

import typer

HELP_STYLE: Final[Literal["rich"] | None] = "rich" if sys.stdout.isatty() else None
"""Boxes and colors on a terminal, plain lines in a pipe or a file."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


def is_version_number(text: str) -> bool:
    """Whether a text is the number of a registered version."""
    return bool(_NUMBER.fullmatch(text))


def version_number(text: str) -> str:
    """Check that an option is the number of a registered version.

    Raises:
        BadParameter: it is not.
    """
    if not is_version_number(text):
        raise typer.BadParameter(f"{text!r} is not a version number: give it as MLflow shows it, for example 3")
    return text


Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output, the rest on stderr.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        help="Address of MLflow. Default: the server of a running 'churn up', or one started for this command.",
    ),
]
Version = Annotated[
    str | None,
    typer.Option(
        "--version", parser=version_number, metavar="NUMBER", help="Version to serve. Default: the one in staging."
    ),
]
