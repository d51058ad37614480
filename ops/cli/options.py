"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from app.names import check_model, check_models

if TYPE_CHECKING:
    from app.contract import Reading

HELP_STYLE: Final[Literal["rich"] | None] = "rich" if sys.stdout.isatty() else None
"""Boxes and colors on a terminal, plain lines in a pipe or a file."""
_TABS: Final = {"tab": "\t", "\\t": "\t"}
_DELIMITERS: Final = (",", ";", "\t", "|")
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


def model_name(text: str) -> str:
    """Check that an option can be the name of a registered model.

    Raises:
        BadParameter: it cannot.
    """
    try:
        return check_model(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def model_names(text: str) -> tuple[str, ...]:
    """Split an option that lists the models of one API, separated by commas.

    Raises:
        BadParameter: it does not list different names of models.
    """
    names = tuple(name.strip() for name in text.split(","))
    try:
        check_models(names)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--models") from None
    return names


def delimiter(text: str) -> str:
    """Check that an option is a delimiter; a tab may be written as a word.

    Raises:
        BadParameter: it is none.
    """
    mark = _TABS.get(text.lower(), text)
    if mark not in _DELIMITERS:
        raise typer.BadParameter(f"{text!r} is no delimiter: give , ; | or tab")
    return mark


def reading(**options: str | None) -> Reading | None:
    """How a file is written, by the options of the command; ``None`` without any."""
    from app.contract import Reading  # noqa: PLC0415 - --help is instant without it

    chosen = {name: option for name, option in options.items() if option is not None}
    return Reading.model_validate(chosen) if chosen else None


Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output, the rest on stderr.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        help="Address of MLflow. Default: the server of a running 'churn up', or one started for this command.",
    ),
]
Models = Annotated[
    str,
    typer.Option(envvar="MODELS", metavar="NAMES", help="Models to serve, separated by commas; the default one first."),
]
ModelName = Annotated[
    str,
    typer.Option("--model-name", parser=model_name, metavar="NAME", help="Registered model, and its experiment."),
]
Version = Annotated[
    str | None,
    typer.Option(
        "--version", parser=version_number, metavar="NUMBER", help="Version to serve. Default: the one in staging."
    ),
]
Encoding = Annotated[
    Literal["utf-8", "utf-16", "cp1252", "latin-1"] | None,
    typer.Option(help="Encoding of a text file. Default: found out; what could be two is refused."),
]
Delimiter = Annotated[
    str | None,
    typer.Option(parser=delimiter, metavar="MARK", help="Between the columns: , ; | or tab. Default: found out."),
]
Decimal = Annotated[
    Literal[".", ","] | None, typer.Option(help="Decimal mark of the numbers in text. Default: found out, per column.")
]
Thousands = Annotated[
    Literal[".", ",", " ", "'", ""] | None,
    typer.Option(help="Mark between groups of three digits, '' for none. Default: found out."),
]
Sheet = Annotated[str | None, typer.Option(help="Sheet of an Excel workbook. Default: the first.")]
