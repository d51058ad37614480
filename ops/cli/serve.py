"""``churn serve``: the API in the foreground."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is instant
from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ops.cli.options import HELP_STYLE
from ops.errors import OpsError


class ServeCommand(TyperCommand):
    """Adds the list of settings to the help, and looks them up only then."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        settings = "\n".join(("", "Settings, from the environment:", *_settings(), ""))
        if HELP_STYLE is None:
            formatter.write(settings)
        else:  # the rest of the help is on the terminal already
            typer.echo(settings)


def _settings() -> list[str]:
    from app.settings import Settings

    lines = []
    for name, field in Settings.model_fields.items():
        default = f"[{field.default}]" if field.default not in {None, ""} else ""
        lines.append(f"  {name.upper():<27} {default:<24} {field.description or ''}".rstrip())
    return lines


def serve(
    *,
    model: Annotated[
        str | None,
        typer.Option(envvar="MODEL_SOURCE", help="'mlflow', or the folder of a model. Default: mlflow."),
    ] = None,
    host: Annotated[str | None, typer.Option(envvar="HOST", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(envvar="PORT", min=0, max=65535, help="Port to listen on.")] = None,
) -> None:
    """Serve predictions in the foreground.

    Settings come from the environment. Those that are not set are taken from the embedded platform: its MLflow if it is
    running, its local copy of the model, and its API keys (the demo key is in .churn/demo-key).

    Example: API_KEYS_FILE=keys.json churn serve --port 8080
    """
    from app.names import MLFLOW_CLIENT
    from app.settings import Settings
    from ops.local.home import Home
    from ops.local.ports import is_free

    chosen = {"MODEL_SOURCE": model, "HOST": host, "PORT": None if port is None else str(port)}
    settings = os.environ | {name: value for name, value in chosen.items() if value is not None}
    home = Home.from_environment()
    running = home.running()
    defaults = {"MODEL_CACHE_DIR": str(home.model_cache)}
    if running is not None and running.mlflow_url is not None:
        defaults["MLFLOW_TRACKING_URI"] = running.mlflow_url
    if settings.get("AUTH") != "off" and "API_KEYS_FILE" not in settings:
        home.demo_key()
        defaults["API_KEYS_FILE"] = str(home.keys_file)
    environment = defaults | settings
    address = settings.get("HOST", Settings.model_fields["host"].default)
    number = int(settings.get("PORT", Settings.model_fields["port"].default))
    if number and ":" not in address and not is_free(number, address):
        raise OpsError(f"port {number} of {address} is in use: name another one with --port")
    sys.stdout.flush()
    # The API replaces this process, so signals and the exit code are its own.
    os.execve(sys.executable, [sys.executable, "-m", "app"], MLFLOW_CLIENT | environment)  # noqa: S606 - our own module
