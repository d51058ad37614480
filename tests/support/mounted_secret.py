"""A secret of moto's Secrets Manager, announced for rotation and mounted as a pod sees it."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.secretsmanager.models import secretsmanager_backends

from ops.jobs.rotation.secrets_manager import PENDING, SecretsManager


def begin(arn: str) -> str:
    """Announce a version that is pending and has no value yet, as Secrets Manager does before the first step.

    Moto does so only for a function that runs in Docker; this is what it does then. Returns the version's id.
    """
    version, region = str(uuid.uuid4()), arn.split(":")[3]
    secret: Any = secretsmanager_backends[DEFAULT_ACCOUNT_ID][region].secrets[arn]
    secret.remove_version_stages_from_old_versions([PENDING])
    announced = {"createdate": int(time.time()), "version_id": version, "version_stages": [PENDING]}
    secret.versions[version] = announced
    return version


class MountedSecret:
    """A stand-in for the CSI driver: each key of a secret is a file of a folder, and a change appears at once in all.

    Files are links through ``..data``, which is a link to the folder of one moment and is exchanged whole, as kubelet
    and driver do it. Within a ``with`` block the secret is looked up every ``poll_seconds``.
    """

    def __init__(self, manager: SecretsManager, arn: str, folder: Path, *, poll_seconds: float) -> None:
        self._manager, self._arn, self._folder, self._poll = manager, arn, folder, poll_seconds
        self._moments = itertools.count()
        self._written: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        folder.mkdir(parents=True)
        self.refresh()

    def refresh(self) -> None:
        """Write the current value, if it has changed."""
        content = self._manager.read(self._arn)
        if content == self._written:
            return
        moment = self._folder / f"..{next(self._moments)}"
        moment.mkdir()
        for name, value in content.items():
            (moment / name).write_text(value, encoding="utf-8")
        upcoming = self._folder / "..data_tmp"
        upcoming.symlink_to(moment.name)
        upcoming.replace(self._folder / "..data")
        for name in content:
            if not (link := self._folder / name).is_symlink():
                link.symlink_to(Path("..data") / name)
        self._written = content

    def _run(self) -> None:
        while not self._stopping.wait(self._poll):
            self.refresh()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(30)
