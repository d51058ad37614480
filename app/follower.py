"""Keeps the live model in step with the registry's alias, without ever holding up a request.

A new version is downloaded into its own folder, verified and loaded in a thread, and only then put into service by one
assignment. The last good version stays on disk (:mod:`app.model_cache`), where the next start finds it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.bundle import BundleError, NoAnswerError, Registered
from app.live import Live
from app.model import Model, Origin, load
from app.model_cache import ModelCache
from app.served import ServedModel
from app.settings import Settings
from app.verification import check_clients

if TYPE_CHECKING:
    from app.registry import Registry

log = logging.getLogger("app.follower")


def _is_version(model: Model, registered: Registered) -> bool:
    """Whether a model is this registered version, with the same manifest and override."""
    loaded = (model.origin.version, model.fingerprint.hex(), model.override_sha256)
    return loaded == (registered.version, registered.manifest_sha256, registered.override_sha256)


class Follower:
    """Loads the first version of one model and follows its alias until it is cancelled."""

    def __init__(self, served: ServedModel, settings: Settings, open_registry: Callable[[], Registry]) -> None:
        self._served = served
        self._open_registry = open_registry
        self._registry: Registry | None = None
        self._settings = settings
        self._cache = ModelCache(settings.model_cache_dir / served.name)
        self._refused: Registered | None = None
        self._refusal: str | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Serve the local copy if there is a good one, before the registry is asked."""
        try:
            model = await asyncio.to_thread(self._cache.load_last, self._settings.model_alias)
            live = None if model is None else await asyncio.to_thread(self._served.prepare, model)
        except BundleError as error:
            # Shown by /ready too: while the registry is away, nothing else says why there is no model.
            self._served.registry.refused = f"the local copy: {error}"
            log.warning("the local copy of model %s is refused: %s", self._served.name, error)
            return
        if live is not None:
            self._served.put_into_service(live)
            log.info("serving version %s of %s from the local copy", live.model.origin.version, self._served.name)

    async def run(self) -> None:
        """Look the alias up again and again, more often while there is no model at all."""
        while True:
            await self.refresh()
            pause = self._settings.model_poll_seconds if self._served.live else 1.0
            # Jitter, so that replicas started together do not ask at the same time.
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - no secret

    async def refresh(self) -> None:
        """Look the alias up once and swap the model if it names another version. Never raises."""
        async with self._lock:
            try:
                if self._registry is None:
                    # Opened here, in a thread: a process with a good local copy serves while the client is imported.
                    self._registry = await asyncio.to_thread(self._open_registry)
                registered = await self._registry.resolve()
                self._registry_answered()
                self._note_move_by_hand(registered)
                await self._follow(self._registry, registered)
            except NoAnswerError as error:
                self._registry_failed(str(error))
            except Exception as error:
                # The follower must survive any error; the live model goes on serving.
                log.exception("looking for a new version of %s failed", self._served.name)
                self._registry_failed(f"unexpected {type(error).__name__}")
            finally:
                self._served.tried = True

    async def _follow(self, registry: Registry, registered: Registered) -> None:
        live = self._served.live
        if live is not None and _is_version(live.model, registered):
            self._served.metrics.stale.set(0)
            self._served.registry.refused = None
            return
        self._served.metrics.stale.set(1)
        if registered == self._refused:
            self._served.registry.refused = self._refusal
            return
        folder = self._cache.new_folder()
        try:
            await registry.download(registered, folder)
            origin = Origin(version=registered.version, source="registry", alias=self._settings.model_alias)
            prepared = await asyncio.to_thread(self._load, folder, origin, registered)
        except BundleError as error:
            self._refuse(registered, error)
        else:
            self._served.put_into_service(prepared)
            self._served.metrics.stale.set(0)
            self._served.registry.refused = None
            log.info("serving version %s of %s from the registry", registered.version, self._served.name)
            self._adopt(folder, registered)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _load(self, folder: Path, origin: Origin, registered: Registered) -> Live:
        model = load(
            folder,
            origin,
            manifest_sha256=registered.manifest_sha256,
            override_sha256=registered.override_sha256 or None,
        )
        if self._served.live is not None:
            check_clients(self._served.live.contract, model.contract, registered.breaks_sha256)
        return self._served.prepare(model)

    def _adopt(self, folder: Path, registered: Registered) -> None:
        try:
            self._cache.adopt(folder, registered)
        except OSError as error:
            log.warning("version %s serves, but no local copy could be kept: %s", registered.version, error)

    def _refuse(self, registered: Registered, error: BundleError) -> None:
        # Remembered, so that a broken version is not downloaded again at every look-up; another manifest, an override
        # or a restart tries again, and so does POST /v1/model/refresh.
        self._refused = registered
        self._refusal = self._served.registry.refused = f"version {registered.version}: {error}"
        self._served.metrics.refused.inc()
        log.error("version %s of %s is refused: %s", registered.version, self._served.name, error)

    def _note_move_by_hand(self, registered: Registered) -> None:
        """Report in /ready, the metric and the log whether the alias was moved outside of `churn`."""
        state, alias = self._served.registry, self._settings.model_alias
        moved = (
            f"alias {alias} was moved to version {registered.version} outside of `churn`: see `churn history`"
            if registered.by_hand
            else None
        )
        if moved and moved != state.moved_by_hand:
            log.warning("%s", moved)
        elif state.moved_by_hand and not moved:
            log.info("alias %s names version %s, which `churn` put there", alias, registered.version)
        state.moved_by_hand = moved
        self._served.metrics.alias_moved_by_hand.set(moved is not None)

    async def close(self) -> None:
        if self._registry is not None:
            await self._registry.close()

    def forget_refusal(self) -> None:
        """Try a refused version once more at the next look-up."""
        self._refused = None

    def _registry_answered(self) -> None:
        state = self._served.registry
        state.reachable, state.last_error = True, None
        state.last_success = time.time()
        self._served.metrics.registry_up.set(1)

    def _registry_failed(self, reason: str) -> None:
        state = self._served.registry
        if state.last_error != reason:
            log.warning("the registry of model %s: %s", self._served.name, reason)
        state.reachable, state.last_error = False, reason
        self._served.metrics.registry_up.set(0)
