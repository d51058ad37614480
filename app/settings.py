"""Settings of the API process, read once from the environment (each name in capitals) and from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, DirectoryPath, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.cors import Origins
from app.names import MODEL_NAME, PRODUCTION, check_models
from app.redis_url import RedisUrl


def _rate(text: str) -> str:
    # Imported here: the settings are also read by tools that never limit anything.
    from limits import parse_many  # noqa: PLC0415 - see above

    try:
        parse_many(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a rate limit; write for example '100/second' or '1000/minute;20000/day'"
        ) from error
    return text


Rate = Annotated[str, AfterValidator(_rate)]


def _models(text: str) -> str:
    check_models(split_models(text))
    return text


def split_models(text: str) -> tuple[str, ...]:
    """The names in a list of models."""
    return tuple(name.strip() for name in text.split(","))


Models = Annotated[str, AfterValidator(_models)]


class Settings(BaseSettings):
    """Every setting of the API; all defaults are safe on one machine."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")

    model_source: str = Field(
        default="mlflow",
        description="'mlflow', or the path of a folder with a servable model; with one folder for each of several.",
    )
    models: Models = Field(
        default=MODEL_NAME,
        description="Names of the registered models, separated by commas; `/v1/predict` is the first one's.",
    )
    model_alias: str = Field(default=PRODUCTION, description="Alias to follow.")
    model_poll_seconds: float = Field(default=15, gt=0, le=3600, description="Seconds between look-ups of the alias.")
    model_cache_dir: Path = Field(
        default=Path(".churn/model-cache"),
        description="Folder for the last verified model, which serves if MLflow is down at the start.",
    )
    mlflow_tracking_uri: str = Field(default="http://127.0.0.1:5000", description="Address of the MLflow server.")
    mlflow_tracking_username: str | None = Field(default=None, description="User for an MLflow server with a login.")
    mlflow_tracking_password: SecretStr | None = Field(default=None, description="Password of that user.")
    mlflow_credentials_dir: Path | None = Field(
        default=None, description="Folder with files 'username' and 'password', re-read at each look-up."
    )
    max_series: int = Field(
        default=20_000,
        ge=100,
        description="Most series in Prometheus of the versions that serve, over all models; a version beyond it is "
        "refused.",
    )
    registry_timeout_seconds: float = Field(
        default=10, gt=0, description="Time-out of one call to the registry, in seconds."
    )

    auth: Literal["required", "off"] = Field(
        default="required", description="'off' accepts every request; for tests only."
    )
    api_keys_file: Path | None = Field(default=None, description="JSON file with the hashes of the valid API keys.")
    rate_limit: Rate = Field(default="1000/second", description="Rate limit of an API key without its own.")
    cors_origins: Origins = Field(
        default="",
        description="Origins of web pages whose scripts may call the API, separated by spaces; empty allows none.",
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        description="Redis or Valkey for shared rate limits and, if on, the prediction cache: "
        "redis://user:password@host:port/0, the password percent-encoded.",
    )
    prediction_cache: bool = Field(default=False, description="Keep single predictions in Redis; needs REDIS_URL.")
    cache_ttl_seconds: int = Field(default=300, gt=0, description="Seconds that a cached prediction is kept.")
    redis_timeout_seconds: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Time-out of a request's Redis calls; stops of a throttled process do not count. After 5 failures "
        "in a row Redis counts as off.",
    )
    redis_retry_seconds: float = Field(
        default=1.0, gt=0, description="Seconds between checks whether an idle or failed Redis takes writes."
    )

    max_batch_rows: int = Field(
        default=1000, ge=1, le=100_000, description="Maximum number of customers in a batch; larger batches get 422."
    )
    max_body_bytes: int = Field(
        default=2 * 1024 * 1024, ge=1024, description="Maximum size of a body in bytes; larger ones get 413."
    )
    body_timeout_seconds: float = Field(
        default=5,
        gt=0,
        description="Time limit for receiving a body, which then gets 408, and for receiving the head of a request.",
    )
    max_concurrency: int = Field(
        default=256, ge=1, description="Most requests in progress, where a batch counts as 8; more get 503."
    )
    keep_alive_seconds: int = Field(default=75, ge=1, description="Seconds that an idle connection stays open.")
    drain_seconds: float = Field(
        default=10, ge=0, description="Seconds in which requests are still answered after SIGTERM."
    )

    log_requests: bool = Field(default=True, description="One JSON line per request; never a feature value or a key.")

    settings_dir: DirectoryPath | None = Field(
        default=None,
        description="Folder with one file per setting, for example 'redis_url'; environment variables take precedence.",
    )

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models of the API, the default one first."""
        return split_models(self.models)

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.auth == "required" and self.api_keys_file is None:
            raise ValueError(
                "API_KEYS_FILE is not set: create a key with `churn key`, or set AUTH=off on a test machine"
            )
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
