"""``churn dashboards``: Grafana's JSON for import by hand, and pictures with live data."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.console import Output
from ops.options import HELP_STYLE

app = typer.Typer(
    name="dashboards",
    no_args_is_help=True,
    rich_markup_mode=HELP_STYLE,
)


@app.callback()
def dashboards_group() -> None:
    """Write the Grafana dashboards as JSON, or draw them with live data.

    Example: churn dashboards write
    """


@app.command()
def write(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files; made when missing.")] = Path("dashboards-json"),
    docs: Annotated[str, typer.Option(help="Address where people read this repository, for links to runbooks.")] = "",
) -> None:
    """Write each dashboard as JSON, to import into any Grafana by hand.

    The Grafana of the platform needs none of it: it is given the same dashboards as files.

    Example: churn dashboards write --out dashboards-json
    """
    import json

    import dashboards

    out.mkdir(parents=True, exist_ok=True)
    pairs = []
    for name, page in dashboards.every(docs).items():
        path = out / f"{name}.json"
        path.write_text(json.dumps(page, indent=1) + "\n", encoding="utf-8")
        pairs.append((page["title"], str(path)))
    Output().pairs(pairs)


@app.command()
def preview(
    *,
    prometheus: Annotated[str, typer.Option(help="Address of a Prometheus.")] = "http://127.0.0.1:9090",
    minutes: Annotated[int, typer.Option(min=1, help="How far back lines go.")] = 30,
    out: Annotated[Path, typer.Option(help="Folder for the pictures; made when missing.")] = Path("dashboards-png"),
) -> None:
    """Draw each dashboard as a PNG with the data of a live Prometheus; no Grafana is needed.

    Example: churn dashboards preview --prometheus http://127.0.0.1:9090
    """
    import dashboards
    from ops.dashboard_preview import draw
    from ops.dashboard_queries import Prometheus

    asked = Prometheus(prometheus, minutes)
    Output().pairs([(page["title"], str(draw(page, asked, out))) for page in dashboards.every().values()])
