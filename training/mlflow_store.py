"""Calls to MLflow's registry, with errors that an operator can act on; the rules are in :mod:`training.registry`."""

from __future__ import annotations

import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from app import model as serving
from app.bundle import (
    ARTIFACT_FOLDER,
    BREAKS_TAG,
    MANIFEST_TAG,
    OVERRIDE,
    OVERRIDE_TAG,
    BundleError,
    Override,
    VerdictError,
    digest,
    write_json,
)
from app.contract import Contract, Features
from app.schemas import telco
from training import descriptions
from training.ledger import AnyVersion, DeletedVersion
from training.pipeline import Labels

CONTRACT_TAG: Final = "contract"
"""Version tag with the name of the contract of its customers."""
CONTRACT_SHA256_TAG: Final = "contract_sha256"
SCHEMA_TAG: Final = "schema_version"
"""Tag of versions of older releases instead of those two."""

EVALUATION_FOLDER: Final = "evaluation"
HOLDOUT: Final = "holdout.parquet"
HOLDOUT_ROWS_MAX: Final = 50_000

_ABSENT: Final = "RESOURCE_DOES_NOT_EXIST"
_INVALID: Final = "INVALID_PARAMETER_VALUE"
"""MLflow's code for an alias that the model does not have."""
_LOGGED_MODEL: Final = "models:/"
_ANSWER_SECONDS: Final = 3.0
_CLIENT_LIMITS: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""With MLflow's own defaults an operator waits for minutes before hearing that the server is gone."""


class RegistryError(Exception):
    """The registry cannot do what was asked; the message names the value and the remedy."""


class RefusedVersionError(RegistryError):
    """An intact version that must not be served: its gates refused it."""


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        raise RegistryError(f"{doing}: {str(error)[:500]}") from error


def connect(tracking_uri: str) -> MlflowClient:
    """Connect to a server, and check that it answers.

    Raises:
        RegistryError: nothing answers at ``tracking_uri`` within three seconds.
    """
    for name, value in _CLIENT_LIMITS.items():
        os.environ.setdefault(name, value)
    if tracking_uri.startswith(("http://", "https://")):
        url = f"{tracking_uri.rstrip('/')}/health"
        try:
            with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS):  # noqa: S310  # the scheme was checked above
                pass
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise RegistryError(
                f"no MLflow server answers at {tracking_uri} ({error}): start it, or correct the tracking URI"
            ) from error
    return MlflowClient(tracking_uri, registry_uri=tracking_uri)


def registered_model(client: MlflowClient, model_name: str) -> RegisteredModel | None:
    """The registered model, or None if there is none.

    Raises:
        RegistryError: the server does not say.
    """
    try:
        return client.get_registered_model(model_name)
    except MlflowException as error:
        if error.error_code == _ABSENT:
            return None
        raise RegistryError(f"cannot read model {model_name!r}: {str(error)[:500]}") from error


def by_alias(client: MlflowClient, model_name: str, alias: str) -> AnyVersion | None:
    """The version an alias points to, or None without such an alias or model.

    Older servers left the alias of a version that was deleted over REST (mlflow PR 24825), and such a row outlives an
    upgrade. For it MLflow gives the answer for a model that does not exist, so the model is asked for its aliases.

    Raises:
        RegistryError: the server does not say.
    """
    try:
        return client.get_model_version_by_alias(model_name, alias)
    except MlflowException as error:
        if error.error_code not in {_ABSENT, _INVALID}:
            raise RegistryError(f"cannot read alias {alias!r} of {model_name!r}: {str(error)[:500]}") from error
    model = registered_model(client, model_name)
    version = model.aliases.get(alias) if model is not None else None
    return None if version is None else find_version(client, model_name, str(version))


def find_version(client: MlflowClient, model_name: str, version: str) -> AnyVersion:
    """The version of this number, which existed at some time.

    Raises:
        RegistryError: the server does not say.
    """
    try:
        return client.get_model_version(model_name, version)
    except MlflowException as error:
        if error.error_code in {_ABSENT, _INVALID}:
            return DeletedVersion(version=version)
        raise RegistryError(f"cannot read version {version!r} of {model_name!r}: {str(error)[:500]}") from error


def get_version(client: MlflowClient, model_name: str, version: str) -> ModelVersion:
    """The version of this number.

    Raises:
        RegistryError: there is none, or the server does not say.
    """
    present = find_version(client, model_name, version)
    if isinstance(present, DeletedVersion):
        raise RegistryError(
            f"{model_name!r} has no version {version!r}: see `churn history` or the MLflow page for the versions"
        )
    return present


def create_version(client: MlflowClient, model_name: str, *, model_id: str, run_id: str, tags: dict[str, str]) -> str:
    """Register a logged model as the next version, described by the model card of its run.

    Returns:
        the version's number.
    """
    with plain_errors(f"cannot register a version of {model_name!r}"):
        with suppress(MlflowException):  # it exists already; anything else fails again in the next call
            client.create_registered_model(model_name)
        created = client.create_model_version(
            model_name,
            source=f"{_LOGGED_MODEL}{model_id}",
            run_id=run_id,
            model_id=model_id,
            tags=tags,
            description=descriptions.of_version(client, run_id),
        )
    descriptions.describe(client, model_name)  # a new model has none yet
    return str(created.version)


def _download(client: MlflowClient, version: ModelVersion, path: str, folder: Path) -> Path:
    with plain_errors(f"cannot download {path} of version {version.version}"):
        location = client.get_model_version_download_uri(version.name, version.version)
        uri = f"{location.rstrip('/')}/{path}"
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=client.tracking_uri))


def fetch_model(client: MlflowClient, version: ModelVersion, *, verdict_required: bool = True) -> serving.Model:
    """Download a version's bundle and load it as serving does, with every digest checked.

    Args:
        verdict_required: False also accepts an intact version that its gates refused, to look at it.

    Raises:
        RefusedVersionError: it is intact, but must not be served.
        RegistryError: the version has no bundle, or one that serving would refuse.
    """
    manifest_sha256 = version.tags.get(MANIFEST_TAG)
    if manifest_sha256 is None:
        raise RegistryError(
            f"version {version.version} has no tag {MANIFEST_TAG}: only `churn train` and `churn register` make such "
            "versions"
        )
    origin = serving.Origin(version=str(version.version), source=f"models:/{version.name}/{version.version}")
    with tempfile.TemporaryDirectory() as folder:
        bundle = _download(client, version, ARTIFACT_FOLDER, Path(folder))
        try:
            return serving.load(
                bundle,
                origin,
                manifest_sha256=manifest_sha256,
                override_sha256=version.tags.get(OVERRIDE_TAG),
                verdict_required=verdict_required,
            )
        except VerdictError as error:
            raise RefusedVersionError(f"version {version.version} must not be served: {error}") from error
        except BundleError as error:
            raise RegistryError(
                f"version {version.version} must not be served: {error}. Its artifacts changed after registration: "
                "train again, or restore them from the backup"
            ) from error


def store_override(client: MlflowClient, version: ModelVersion, override: Override) -> None:
    """Store a person's decision beside the manifest that it is about, and its digest in the version's tag.

    The file comes first: serving refuses a tag without its file, while a file without its tag overrides nothing.
    """
    source = version.source or ""
    if not source.startswith(_LOGGED_MODEL):
        raise RegistryError(
            f"version {version.version} is at {source!r}: only `churn train` and `churn register` make versions to "
            "override"
        )
    with tempfile.TemporaryDirectory() as folder, plain_errors(f"cannot override version {version.version}"):
        path = Path(folder) / OVERRIDE
        write_json(path, override)
        client.log_model_artifacts(source.removeprefix(_LOGGED_MODEL), folder, ARTIFACT_FOLDER)
        client.set_model_version_tag(version.name, version.version, OVERRIDE_TAG, digest(path).sha256)


def contract_sha256(version: ModelVersion) -> str:
    """The sha256 of a version's contract; one that was registered before there were contracts has the built-in one."""
    return str(version.tags.get(CONTRACT_SHA256_TAG) or telco().sha256)


def store_break(client: MlflowClient, version: ModelVersion, contract: str) -> None:
    """Store the decision that a version may break the clients of a contract, of which this is the sha256."""
    with plain_errors(f"cannot mark version {version.version} for its contract"):
        client.set_model_version_tag(version.name, version.version, BREAKS_TAG, contract)


def write_holdout(folder: Path, contract: Contract, features: Features, churned: Labels, seed: int) -> None:
    """Write the rows a version is judged on, at most 50,000 drawn with ``seed``: coded features and label, no ids."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(churned))[:HOLDOUT_ROWS_MAX])
    frame = pd.DataFrame(features[rows], columns=list(contract.names)).assign(**{contract.label.name: churned[rows]})
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / HOLDOUT, index=False)


def fetch_holdout(client: MlflowClient, version: ModelVersion) -> tuple[Features, Labels]:
    """Download the rows that a version was judged on: features as its contract codes them, and labels."""
    with tempfile.TemporaryDirectory() as folder:
        frame = pd.read_parquet(_download(client, version, f"{EVALUATION_FOLDER}/{HOLDOUT}", Path(folder)))
    # The label is the last column.
    features = np.ascontiguousarray(frame.iloc[:, :-1].to_numpy(dtype=np.float32))
    return features, frame.iloc[:, -1].to_numpy(dtype=np.int8)
