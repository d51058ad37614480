"""Settings of the API process, read once from the environment (each name in capitals) and from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, DirectoryPath, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.names import MODEL_NAME, PRODUCTION


def _rate(text: str) -> str:
    # Imported here: the settings are also read by tools that never limit anything.
    from limits import parse_many  # noqa: PLC0415 - see above

    try:
        parse_many(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no rate; write for example '100/second' or '1000/minute;20000/day'") from error
    return text


Rate = Annotated[str, AfterValidator(_rate)]


class Settings(BaseSettings):
    """All there is to configure; every default is safe on one machine."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")

    model_source: str = Field(default="mlflow", description="'mlflow', or the path of a folder with a servable model.")
    model_name: str = Field(default=MODEL_NAME, description="Name of the registered model.")
    model_alias: str = Field(default=PRODUCTION, description="Alias that is followed.")
    model_poll_seconds: float = Field(default=15, gt=0, le=3600, description="How often the alias is looked up.")
    model_cache_dir: Path = Field(
        default=Path(".churn/model-cache"), description="Keeps the last verified model, for starts without MLflow."
    )
    mlflow_tracking_uri: str = Field(default="http://127.0.0.1:5000", description="Address of the MLflow server.")
    mlflow_tracking_username: str | None = Field(default=None, description="User for an MLflow server with a login.")
    mlflow_tracking_password: SecretStr | None = Field(default=None, description="Its password.")
    mlflow_credentials_dir: Path | None = Field(
        default=None, description="Folder with files 'username' and 'password', read again at each look-up."
    )
    registry_timeout_seconds: float = Field(default=10, gt=0, description="Limit of one call to the registry.")

    auth: Literal["required", "off"] = Field(default="required", description="'off' answers everybody: for tests only.")
    api_keys_file: Path | None = Field(default=None, description="JSON file with the hashes of the valid API keys.")
    rate_limit: Rate = Field(default="1000/second", description="Rate of each API key that has none of its own.")
    redis_url: SecretStr | None = Field(
        default=None, description="Redis or Valkey for shared rate limits and, if on, the prediction cache."
    )
    prediction_cache: bool = Field(default=False, description="Keep single predictions in Redis; needs REDIS_URL.")
    cache_ttl_seconds: int = Field(default=300, gt=0, description="How long a cached prediction is kept.")
    redis_timeout_seconds: float = Field(
        default=0.015, gt=0, le=1, description="A Redis call that takes longer counts as failed and Redis as off."
    )
    redis_retry_seconds: float = Field(default=1.0, gt=0, description="How often an unused or failed Redis is asked.")

    max_batch_rows: int = Field(default=1000, ge=1, le=100_000, description="Customers in one batch; more get 422.")
    max_body_bytes: int = Field(default=2 * 1024 * 1024, ge=1024, description="Bytes in one body; more get 413.")
    body_timeout_seconds: float = Field(
        default=5, gt=0, description="A body that takes longer gets 408; so long may a request's head take too."
    )
    max_concurrency: int = Field(default=256, ge=1, description="Weight in progress (a batch: 8); more gets 503.")
    keep_alive_seconds: int = Field(default=75, ge=1, description="How long an idle connection is kept open.")
    drain_seconds: float = Field(default=10, ge=0, description="After SIGTERM: how long requests are still answered.")

    log_requests: bool = Field(default=True, description="One JSON line per request; never a feature value or a key.")

    settings_dir: DirectoryPath | None = Field(
        default=None, description="Folder with settings as files, 'redis_url' for example; the environment wins."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.auth == "required" and self.api_keys_file is None:
            raise ValueError("API_KEYS_FILE is not set: make a key with `churn key`, or set AUTH=off on a test machine")
        if self.prediction_cache and self.redis_url is None:
            raise ValueError("PREDICTION_CACHE is on but REDIS_URL is not set")
        return self


def from_environment() -> Settings:
    """The settings of this process: its environment, then the files of SETTINGS_DIR, which are for secrets.

    Raises:
        ValidationError: for invalid values, and if SETTINGS_DIR is not a folder.
        SettingsError: for a file in it that cannot be read.
    """
    folder = os.environ.get("SETTINGS_DIR")
    # For a missing folder pydantic-settings would only warn; the setting itself is validated.
    return Settings(_secrets_dir=folder if folder and Path(folder).is_dir() else None)
