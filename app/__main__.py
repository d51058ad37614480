"""``python -m app``: the API process, configured by its environment."""

from __future__ import annotations

import logging
import sys

import uvicorn
from pydantic import ValidationError
from pydantic_settings import SettingsError

from app import logs
from app.bundle import BundleError
from app.main import create_app
from app.protocol import bounded_protocol
from app.security import KeyFileError
from app.server import DrainingServer
from app.service import Service
from app.settings import from_environment

log = logging.getLogger("app")


def main() -> int:
    """Serve until a signal; 0 after a clean stop, 2 for settings that cannot work."""
    logs.configure()
    try:
        settings = from_environment()
        service = Service(settings)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            name = ".".join(map(str, item["loc"])).upper()
            log.critical("%s%s", f"{name}: " if name else "", item["msg"])
        return 2
    except SettingsError as error:
        log.critical("SETTINGS_DIR: %s (%s)", error, error.__cause__)
        return 2
    except KeyFileError as error:
        log.critical("API_KEYS_FILE: %s", error)
        return 2
    try:
        app = create_app(settings, service)
    except BundleError as error:
        log.critical("MODEL_SOURCE %s: %s", settings.model_source, error)
        return 2
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=bounded_protocol(settings.body_timeout_seconds),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=10,
    )
    server = DrainingServer(config, service)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    raise SystemExit(main())
