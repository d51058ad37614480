"""``churn dashboards``: writes Grafana's JSON for import by hand, and draws pictures with live data."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.options import HELP_STYLE, Force
from ops.console import Output

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
    out: Annotated[Path, typer.Option(help="Folder for the files; created if missing.")] = Path("dashboards-json"),
    docs: Annotated[str, typer.Option(help="Web address of this repository, for links to runbooks.")] = "",
    force: Force = False,
) -> None:
    """Write each dashboard as JSON, to import by hand into any Grafana.

    The platform's own Grafana does not need this: it already has the same dashboards.

    Example: churn dashboards write --out dashboards-json
    """
    import json

    import dashboards

    pages = dashboards.every(docs)
    texts = {out / f"{name}.json": json.dumps(page, indent=1) + "\n" for name, page in pages.items()}
    from training.files import check_folder, check_free
    from training.outputs import replaced

    check_folder(out)
    # An unchanged file holds nobody's edits, so running the same command twice is not a mistake.
    changed = {path: text for path, text in texts.items() if not path.is_file() or path.read_text("utf-8") != text}
    for path in changed:
        check_free(path, overwrite=force)
    for path, text in changed.items():
        with replaced(path, overwrite=force) as temporary:
            temporary.write_text(text, encoding="utf-8")
    Output().pairs([(page["title"], str(path)) for page, path in zip(pages.values(), texts, strict=True)])


@app.command()
def preview(
    *,
    prometheus: Annotated[str, typer.Option(help="Address of Prometheus.")] = "http://127.0.0.1:9090",
    minutes: Annotated[int, typer.Option(min=1, help="Minutes to show.")] = 30,
    out: Annotated[Path, typer.Option(help="Folder for the pictures; created if missing.")] = Path("dashboards-png"),
    force: Force = False,
) -> None:
    """Draw each dashboard as a PNG with data from a live Prometheus, without a Grafana.

    Example: churn dashboards preview --prometheus http://127.0.0.1:9090
    """
    import dashboards
    from training.files import check_folder, check_free
    from training.outputs import replaced

    check_folder(out)
    pages = list(dashboards.every().values())
    targets = [out / f"{page['uid'].removeprefix('churn-')}.png" for page in pages]
    for path in targets:
        check_free(path, overwrite=force)
    from ops.stack.dashboard_preview import draw
    from ops.stack.dashboard_queries import PanelQueries

    output, queries = Output(), PanelQueries(prometheus, minutes)
    for page, path in zip(pages, targets, strict=True):
        with output.waiting(f"Drawing {page['title']}"), replaced(path, overwrite=force) as temporary:
            draw(page, queries, temporary)
    output.pairs([(page["title"], str(path)) for page, path in zip(pages, targets, strict=True)])
