"""What a backup, a restore or a drill is asked to do, by `churn` or by a test; quick to import."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

LATEST: Final = "latest"
"""Names the newest backup where an id is expected."""
KEEP_DAYS: Final = 7
KEEP_UPLOADED_DAYS: Final = 90


@dataclass(frozen=True, kw_only=True)
class _BackupOptions:
    to: Path
    """Folder of the backups."""
    keep_days: int = KEEP_DAYS
    """In that folder."""
    upload: str | None = None
    """s3://bucket[/prefix] that gets a copy."""
    keep_uploaded_days: int = KEEP_UPLOADED_DAYS
    """In that bucket."""


@dataclass(frozen=True, kw_only=True)
class PostgresOptions(_BackupOptions):
    """A dump of databases and roles."""

    service: str
    """A service of the file that PGSERVICEFILE names, or a libpq connection string."""
    databases: tuple[str, ...]
    wait_seconds: int = 0
    """How long the server may take to answer at first."""


@dataclass(frozen=True, kw_only=True)
class ArtifactsOptions(_BackupOptions):
    """A copy of MLflow's artifacts."""

    source: str
    """A folder, or s3://bucket/prefix."""


BackupOptions = PostgresOptions | ArtifactsOptions


@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """A restore; a part without a target is not restored."""

    source: str
    """A folder with backups, or s3://bucket[/prefix]."""
    as_of: datetime | None = None
    """Read a bucket as it was at this time."""
    backup: str = LATEST
    """Id of a dump or of artifacts."""
    server: str | None = None
    """A service or connection string as above, of a login that may create roles and databases."""
    artifacts: str | None = None
    """A folder, or s3://bucket/prefix."""
    replace: bool = False
    """Replace what is there now."""
    accept_broken: bool = False
    """Restore even if versions already lacked artifacts when they were copied."""
    scratch: Path | None = None
    """Room for downloads from a bucket; by default, the system's temporary folder."""
    wait_seconds: int = 0
    """How long the server may take to answer at first."""


@dataclass(frozen=True, kw_only=True)
class DrillOptions:
    """A restore drill."""

    source: str
    """A folder with backups, or s3://bucket[/prefix]."""
    scratch: Path
    """An empty folder with room for a database server and a copy of the artifacts."""
    backup: str = LATEST
    reports: Path | None = None
    """Folder that keeps a dated report."""
