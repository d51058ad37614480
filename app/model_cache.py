"""The local copies of verified models, from which a process serves at once, with or without MLflow."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app import bundle
from app.bundle import BundleError, Registered
from app.model import Model, Origin, load

_CURRENT: Final = "current.json"


class _Current(BaseModel):
    """Which folder of the cache holds the last model that was verified and served."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]
    manifest_sha256: bundle.Sha256
    override_sha256: bundle.Sha256 | None = None


def _folder_name(version: str, manifest_sha256: str) -> str:
    return f"{version}-{manifest_sha256[:12]}"


class ModelCache:
    """A folder with the last good model and the one before it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def load_last(self, alias: str) -> Model | None:
        """The last good model, verified again from its first byte; None if there is no copy.

        Raises:
            BundleError: the copy must not be served.
        """
        try:
            current = _Current.model_validate_json((self.root / _CURRENT).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BundleError(f"{_CURRENT}: {error.strerror}") from error
        except ValidationError as error:
            raise BundleError(f"{_CURRENT}: {error.errors()[0]['msg']}") from error
        return load(
            self.root / _folder_name(current.version, current.manifest_sha256),
            Origin(version=current.version, source="cache", alias=alias),
            manifest_sha256=current.manifest_sha256,
            override_sha256=current.override_sha256,
        )

    def adopt(self, downloaded: Path, registered: Registered) -> None:
        """Make a verified download the last good model, and delete all older copies but the one before it."""
        folder = self.root / _folder_name(registered.version, registered.manifest_sha256)
        if folder.exists():
            shutil.rmtree(folder)
        downloaded.rename(folder)
        current = _Current(
            version=registered.version,
            manifest_sha256=registered.manifest_sha256,
            override_sha256=registered.override_sha256 or None,
        )
        temporary = self.root / f".{_CURRENT}.{os.getpid()}"
        temporary.write_text(current.model_dump_json(exclude_none=True), encoding="utf-8")
        temporary.rename(self.root / _CURRENT)
        copies = sorted((p for p in self.root.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
        for old in copies[:-2]:
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)

    def new_folder(self) -> Path:
        """Create an empty folder on the cache's own disk, so that adopting it is a rename.

        If nothing can be written there, the folder is elsewhere: better a model without a local copy than no model.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=".download-", dir=self.root))
        except OSError:
            return Path(tempfile.mkdtemp(prefix="churn-model-"))
