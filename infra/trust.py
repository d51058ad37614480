"""Certificates of the authorities that sign RDS' servers, by region; `churn rds certificates` fetches them from AWS.

They are files of the repository, so that a change of what the platform trusts is a commit that somebody reviews.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from infra.config import ConfigError, Settings

FOLDER: Final = Path(__file__).parent / "rds_certificates"


def path(region: str) -> Path:
    """Return the file with the certificates of a region."""
    return FOLDER / f"{region}.pem"


def certificates(region: str) -> str:
    """Return the certificates of a region as PEM; empty if nobody has fetched them."""
    return path(region).read_text(encoding="ascii") if path(region).exists() else ""


def check_certificates(settings: Settings) -> None:
    """Check that a stack whose database is on RDS can verify the database's certificate.

    Raises:
        ConfigError: the file of its region is missing.
    """
    region = settings.account.region
    if settings.database.kind == "rds" and not certificates(region):
        raise ConfigError(
            f"{path(region).parent.name}/{path(region).name} is missing, without which no client would know RDS: run "
            f"`churn rds certificates --region {region}`, and commit the file"
        )
