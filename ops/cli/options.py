"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Final, Literal

import typer

HELP_STYLE: Final[Literal["rich"] | None] = "rich" if sys.stdout.isatty() else None
"""Boxes and colours on a terminal; plain lines in a pipe or a file."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


def is_version_number(text: str) -> bool:
    """Whether a text is the number of a registered version."""
    return bool(_NUMBER.fullmatch(text))


def version_number(text: str) -> str:
    """The number of a registered version, as MLflow counts them.

    Raises:
        BadParameter: it is something else.
    """
    if not is_version_number(text):
        raise typer.BadParameter(f"{text!r} is no version number: give it as MLflow shows it, for example 3")
    return text


Force = Annotated[bool, typer.Option("--force", help="Replace a file that exists already.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output, all else on stderr.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        help="Address of MLflow. Without it: the server of a running 'churn up', else one started for this command.",
    ),
]
Version = Annotated[
    str | None,
    typer.Option(
        "--version", parser=version_number, metavar="NUMBER", help="Version to serve. Default: the one in staging."
    ),
]
