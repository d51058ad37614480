"""The registry's rules: how a version is registered, staged, promoted and rolled back.

Aliases: ``staging`` is the newest version that passed its gates, ``production`` what the API serves, ``previous``
what it served before. The version tag ``stage`` says the same in a word for people. A move is written to the ledger
(:mod:`training.ledger`) before the alias moves, so that none can go unrecorded; should MLflow fail in between, the
move is in the ledger and is repeated by asking again.
"""

from __future__ import annotations

from typing import Final

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from app.bundle import MANIFEST_TAG, GateResult
from app.schemas import SCHEMA_VERSION, Features
from training import gates, ledger
from training.config import GateLimits, ModelType
from training.ledger import Move
from training.mlflow_store import (
    RegistryError,
    by_alias,
    connect,
    create_version,
    fetch_holdout,
    fetch_model,
    get_version,
    plain_errors,
)
from training.native import DIGEST_TAG
from training.pipeline import Labels, Scores

STAGING: Final = "staging"
PRODUCTION: Final = "production"
PREVIOUS: Final = "previous"

STAGE_TAG: Final = "stage"
STAGE_NONE, STAGE_STAGING, STAGE_PRODUCTION, STAGE_ARCHIVED = "None", "Staging", "Production", "Archived"

GATE_TAG: Final = "gate"
"""Version tag with the verdict of all gates together."""
SCHEMA_TAG: Final = "schema_version"

_EVIDENCE: Final = ("auc", "average_precision", "brier", "log_loss", "calibration_error", "lift_at_10")

__all__ = ["GateRefusedError", "Move", "RegistryError", "history", "promote", "register", "rollback", "stage"]


class GateRefusedError(RegistryError):
    """A version that did not pass its gates; ``results`` holds every verdict."""

    def __init__(self, version: str, results: list[GateResult]) -> None:
        self.results = results
        reasons = "; ".join(f"{gate.name}: {gate.detail}" for gate in gates.refusals(results))
        super().__init__(f"version {version} is refused by gate {reasons}")


def register(
    client: MlflowClient,
    model_name: str,
    *,
    model_id: str,
    run_id: str,
    model_type: ModelType,
    manifest_sha256: str,
    native_sha256: str,
    dataset_sha256: str,
    results: list[GateResult],
) -> str:
    """Register a logged model as the next version, with its verdicts; a refused one too, so that it can be looked at.

    Returns:
        the version's number.
    """
    tags = {
        MANIFEST_TAG: manifest_sha256,
        DIGEST_TAG: native_sha256,
        SCHEMA_TAG: str(SCHEMA_VERSION),
        "model_type": model_type,
        "dataset_sha256": dataset_sha256,
        STAGE_TAG: STAGE_NONE,
        GATE_TAG: gates.verdict(results),
    }
    return create_version(client, model_name, model_id=model_id, run_id=run_id, tags=tags | gates.to_tags(results))


def stage(
    client: MlflowClient,
    model_name: str,
    version: str,
    *,
    results: list[GateResult],
    metrics: dict[str, float],
    actor: str,
) -> None:
    """Move ``staging`` to a version that passed.

    Raises:
        GateRefusedError: it did not; no alias moves.
    """
    if gates.refusals(results):
        raise GateRefusedError(version, results)
    candidate = get_version(client, model_name, version)
    old = by_alias(client, model_name, STAGING)
    move = ledger.new_move(
        "stage",
        STAGING,
        old=old,
        new=candidate,
        actor=actor,
        results=results,
        metrics=metrics,
        reason="passed its gates",
    )
    with plain_errors(f"cannot stage version {version}"):
        ledger.record(client, model_name, move)
        client.set_registered_model_alias(model_name, STAGING, version)
        _tag_stage(client, candidate, STAGE_STAGING)
        if old is not None and old.version != candidate.version and old.tags.get(STAGE_TAG) == STAGE_STAGING:
            _tag_stage(client, old, STAGE_ARCHIVED)


def compare(
    client: MlflowClient,
    model_name: str,
    candidate: Scores,
    *,
    features: Features,
    churned: Labels,
    limits: GateLimits,
) -> GateResult:
    """The regression gate: a candidate against the present production version, both as served, on the same rows.

    ``candidate`` has its scores of them.
    """
    current = by_alias(client, model_name, PRODUCTION)
    if current is None:
        return gates.no_regression("there is no production version yet")
    if current.tags.get(SCHEMA_TAG) != str(SCHEMA_VERSION):
        return gates.no_regression(f"version {current.version} in production was made for another customer schema")
    production = fetch_model(client, current)
    return gates.regression(churned, candidate, production.score(features), str(current.version), limits)


def promote(
    tracking_uri: str,
    model_name: str,
    version: str | None = None,
    *,
    actor: str | None = None,
    reason: str = "",
    limits: GateLimits | None = None,
) -> Move:
    """Make a version the one that is served.

    Its bundle is verified and it is compared with whatever is in production now, which may have changed since it was
    trained. ``production`` moves to it, ``previous`` to the version that was there.

    Args:
        tracking_uri: of the MLflow server.
        version: number of the version; by default the one ``staging`` points to.
        actor: who does it; by default :func:`training.ledger.default_actor`.
        reason: kept in the ledger.

    Raises:
        GateRefusedError: it was refused at training, or is worse than the present production version.
        RegistryError: no such version, nothing staged, a damaged bundle, or no server.
    """
    client = connect(tracking_uri)
    candidate = get_version(client, model_name, version) if version else by_alias(client, model_name, STAGING)
    if candidate is None:
        raise RegistryError(
            f"no version of {model_name!r} has the alias {STAGING!r}: train one first, or name a version"
        )
    current = by_alias(client, model_name, PRODUCTION)
    if current is not None and current.version == candidate.version:
        raise RegistryError(f"version {candidate.version} of {model_name!r} is in production already")
    if candidate.tags.get(GATE_TAG) != gates.PASSED:
        raise GateRefusedError(str(candidate.version), gates.from_tags(candidate.tags))
    model = fetch_model(client, candidate)
    features, churned = fetch_holdout(client, candidate)
    verdict = compare(
        client, model_name, model.score(features), features=features, churned=churned, limits=limits or GateLimits()
    )
    results = [r for r in gates.from_tags(candidate.tags) if r.name != verdict.name] + [verdict]
    if not verdict.passed:
        raise GateRefusedError(str(candidate.version), results)
    metrics: dict[str, float] = {
        name: model.manifest.metrics[name] for name in _EVIDENCE if name in model.manifest.metrics
    }
    move = ledger.new_move(
        "promote",
        PRODUCTION,
        old=current,
        new=candidate,
        actor=actor or ledger.default_actor(),
        results=results,
        metrics=metrics,
        reason=reason,
    )
    _set_production(client, move, candidate, current)
    return move


def rollback(tracking_uri: str, model_name: str, *, actor: str | None = None, reason: str = "") -> Move:
    """Serve the previous version again; what was in production becomes ``previous``, so a second call undoes the first.

    Raises:
        RegistryError: nothing to roll back to, a damaged bundle, or no server.
    """
    client = connect(tracking_uri)
    current, target = (by_alias(client, model_name, alias) for alias in (PRODUCTION, PREVIOUS))
    if current is None or target is None or current.version == target.version:
        raise RegistryError(
            f"{model_name!r} has no earlier production version to roll back to: promote another version instead"
        )
    fetch_model(client, target)  # raises unless it can still be served
    move = ledger.new_move(
        "rollback",
        PRODUCTION,
        old=current,
        new=target,
        actor=actor or ledger.default_actor(),
        results=gates.from_tags(target.tags),
        reason=reason,
    )
    _set_production(client, move, target, current)
    return move


def history(tracking_uri: str, model_name: str) -> list[Move]:
    """Every move of every alias, oldest first.

    Raises:
        RegistryError: no such model, or no server.
    """
    client = connect(tracking_uri)
    with plain_errors(f"cannot read the history of {model_name!r}"):
        return ledger.read(dict(client.get_registered_model(model_name).tags))


def _set_production(client: MlflowClient, move: Move, target: ModelVersion, current: ModelVersion | None) -> None:
    with plain_errors(f"cannot move {PRODUCTION!r} to version {target.version}"):
        ledger.record(client, target.name, move)
        # `previous` first: a failure in between leaves `production` where it was.
        if current is not None:
            client.set_registered_model_alias(target.name, PREVIOUS, current.version)
        client.set_registered_model_alias(target.name, PRODUCTION, target.version)
        _tag_stage(client, target, STAGE_PRODUCTION)
        if current is not None:
            _tag_stage(client, current, STAGE_ARCHIVED)
        staged = by_alias(client, target.name, STAGING)
        if staged is not None and staged.version == target.version:
            client.delete_registered_model_alias(target.name, STAGING)


def _tag_stage(client: MlflowClient, version: ModelVersion, word: str) -> None:
    client.set_model_version_tag(version.name, version.version, STAGE_TAG, word)
