"""Reloads the API keys when the key file changes."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from app.security import KeyFileError
from app.service import Service

log = logging.getLogger("app.key_watch")

KEY_CHECK_SECONDS: Final = 1.0


async def watch_keys(service: Service) -> None:
    """Read the key file again whenever it changes, until cancelled."""
    fits = True
    while service.keys is not None:
        await asyncio.sleep(KEY_CHECK_SECONDS)
        try:
            changed = service.keys.refresh()
        except KeyFileError as error:
            if fits:
                log.warning("the old API keys stay in force: %s", error)
            fits = False
        else:
            fits = fits or changed
            if changed:
                log.info("new API keys are in force")
        service.metrics.keys_valid.set(fits)
