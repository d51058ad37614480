"""``churn score``."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.names import MODEL_NAME, PREVIOUS, PRODUCTION, STAGING
from ops.cli.options import (
    Decimal,
    Delimiter,
    Encoding,
    Force,
    Json,
    ModelName,
    Sheet,
    Thousands,
    TrackingUri,
    is_version_number,
    reading,
)
from ops.console import Output, warn

if TYPE_CHECKING:
    from training.score import ScoreSummary

ALIASES: Final = (PRODUCTION, STAGING, PREVIOUS)


def score(
    source: Annotated[
        str, typer.Argument(help="Customers: CSV, Excel or Parquet, a path, folder or pattern, or s3://bucket/key.")
    ],
    out: Annotated[str, typer.Argument(help="File to write: .csv or .parquet, a path or s3://bucket/key.")],
    *,
    model: Annotated[
        str,
        typer.Option(
            help="'production', 'staging', 'previous', a version's number in MLflow, or the folder of a model."
        ),
    ] = PRODUCTION,
    model_name: ModelName = MODEL_NAME,
    force: Force = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Write nothing if the customers differ from those of the training."),
    ] = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    sheet: Sheet = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Score a file of customers.

    Each row gets a probability, a decision, a risk band and the model's version, in the order of the file.
    The file is streamed, so memory use does not grow with its size. Nothing is written unless every row is valid, and
    the file of customers is never replaced. A warning tells you if the customers differ from the training data.

    Example: churn score customers.parquet scores.parquet --model production
    """
    _check_model(model)
    from training.files import check_output, check_source

    check_source(source)
    check_output(out, overwrite=force, source=source)
    options = reading(encoding=encoding, delimiter=delimiter, decimal=decimal, thousands=thousands, sheet=sheet)
    output = Output(as_json=as_json)
    with _model_folder(model, model_name, tracking_uri) as (folder, registered):
        # Imported here, so that a missing model is reported before the numerical libraries take a second to load.
        from training.score import ModelFolder
        from training.score import score as run

        with output.counted("Scoring") as progress:
            summary = run(
                ModelFolder(folder, **registered), source, out, overwrite=force, strict=strict, reading=options,
                on_progress=progress,
            )  # fmt: skip
    output.result(asdict(summary) | {"scored_at": summary.scored_at.isoformat()}, lambda: output.say(_words(summary)))
    _warn(summary)


def _warn(summary: ScoreSummary) -> None:
    if summary.notes:
        warn("\n".join(summary.notes))
    if summary.differences:
        lines = [f"  {difference.words}" for difference in summary.differences]
        warn(
            "\n".join(
                ["these customers differ from those that the model was trained on: check units and columns", *lines]
            )
        )


def _words(summary: ScoreSummary) -> str:
    return (
        f"Wrote {summary.rows:,} scores of {summary.model_name} version {summary.model_version} to {summary.out}: "
        f"{summary.decisions['churn']:,} at or above the threshold {summary.threshold:.4f}, "
        f"mean probability {summary.mean_probability:.4f}"
    )


def _is_folder(model: str) -> bool:
    """Whether a model is given as a folder; one that is called like a version is given as ./3."""
    return not is_version_number(model) and Path(model).is_dir()


def _check_model(model: str) -> None:
    if not (_is_folder(model) or is_version_number(model) or model in ALIASES):
        raise typer.BadParameter(
            f"{model!r} is neither a folder nor one of {', '.join(ALIASES)} nor a version's number, such as 3",
            param_hint="--model",
        )


@contextmanager
def _model_folder(model: str, model_name: str, tracking_uri: str | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield a folder with the bundle, and the registry's facts about it if it came from there."""
    if _is_folder(model):
        yield Path(model), {}
        return
    from ops.cli import model_versions as versions
    from ops.local import mlflow_server
    from ops.local.home import Home

    with tempfile.TemporaryDirectory(prefix="churn-") as folder:
        with mlflow_server.tracking_server(Home.from_environment(), "churn score", tracking_uri) as url:
            registered = versions.fetch(url, model_name, model, Path(folder))
        yield (
            Path(folder),
            {
                "version": registered.version,
                "manifest_sha256": registered.manifest_sha256,
                "override_sha256": registered.override_sha256 or None,
            },
        )
