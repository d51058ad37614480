"""``churn score``."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from ops.console import Output
from ops.options import Json, TrackingUri

ALIASES: Final = ("production", "staging", "previous")


def score(
    source: Annotated[str, typer.Argument(help="Customers: CSV or Parquet, a path or s3://bucket/key.")],
    out: Annotated[Path, typer.Argument(help="File to write: .csv or .parquet.")],
    *,
    model: Annotated[
        str, typer.Option(help="'production', 'staging' or 'previous' in MLflow, or a folder with a servable model.")
    ] = ALIASES[0],
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Score a file of customers.

    Each row gets a probability, a decision and a risk band, in the order of the file.
    The file is streamed, so memory does not grow with it. Nothing is written unless every row is valid.

    Example: churn score customers.parquet scores.parquet --model production
    """
    from training.score import score as run

    output = Output(as_json=as_json)
    with _model_folder(model, tracking_uri) as (folder, manifest_sha256):
        summary = run(folder, source, out, manifest_sha256=manifest_sha256)
    output.result(
        asdict(summary),
        lambda: output.say(
            f"Wrote {summary.rows:,} scores to {out}: {summary.decisions['churn']:,} at or above the threshold "
            f"{summary.threshold:.4f}, mean probability {summary.mean_probability:.4f}"
        ),
    )


@contextmanager
def _model_folder(model: str, tracking_uri: str | None) -> Iterator[tuple[Path, str | None]]:
    """A folder with the bundle, and the digest its manifest was registered with, if it was."""
    if Path(model).is_dir():
        yield Path(model), None
        return
    if model not in ALIASES:
        raise typer.BadParameter(f"{model!r} is neither a folder nor one of {', '.join(ALIASES)}", param_hint="--model")
    from ops import mlflow_server
    from ops.home import Home

    with tempfile.TemporaryDirectory(prefix="churn-") as folder:
        with mlflow_server.tracking_server(Home.from_environment(), "churn score", tracking_uri) as url:
            digest = asyncio.run(_download(url, model, Path(folder)))
        yield Path(folder), digest


async def _download(url: str, alias: str, folder: Path) -> str:
    # The API's own client: it checks every digest on the way and spares the seconds that importing MLflow takes.
    from app.registry import Registry
    from app.settings import Settings
    from ops.tracking_settings import MODEL_NAME

    registry = Registry(Settings(mlflow_tracking_uri=url, model_name=MODEL_NAME, model_alias=alias, auth="off"))
    try:
        registered = await registry.resolve()
        await registry.download(registered, folder)
    finally:
        await registry.close()
    return registered.manifest_sha256
