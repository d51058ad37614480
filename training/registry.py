"""The rules of the registry: how versions are promoted and rolled back.

Aliases: ``staging`` is the newest version that passed its gates, ``production`` what the API serves, ``previous`` what
it served before. The version tag ``stage`` shows the same to people, in one word. A move is written to the ledger
(:mod:`training.ledger`) before the alias moves, so that no move goes unrecorded. If MLflow fails in between, the ledger
has the move, and the same command repeats it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from app import model as serving
from app.bundle import GateResult, Override
from app.names import PREVIOUS, PRODUCTION, STAGING
from training import compare, descriptions, gates, ledger
from training.auc import auc
from training.config import GateLimits
from training.ledger import AnyVersion, DeletedVersion, Move
from training.mlflow_store import (
    RegistryError,
    by_alias,
    connect,
    contract_sha256,
    fetch_holdout,
    fetch_model,
    get_version,
    plain_errors,
    store_break,
    store_override,
)
from training.registration import STAGE_ARCHIVED, STAGE_PRODUCTION, tag_stage
from training.responsibility import DecisionNeededError, GateRefusedError, Responsibility

_EVIDENCE: Final = ("auc", "average_precision", "brier", "log_loss", "calibration_error", "lift_at_10")

__all__ = [
    "DecisionNeededError",
    "GateRefusedError",
    "Move",
    "RegistryError",
    "Responsibility",
    "history",
    "promote",
    "rollback",
]


def promote(
    tracking_uri: str,
    model_name: str,
    version: str | None = None,
    *,
    actor: str | None = None,
    reason: str = "",
    limits: GateLimits | None = None,
    responsibility: Responsibility | None = None,
) -> Move:
    """Put a version into production.

    Its bundle is verified, and it is compared with the version that is in production now, which may differ from
    the one at its training. ``production`` moves to it, ``previous`` to the version that was there. If that was deleted
    in MLflow, a person decides, since nothing is left to compare with.

    Args:
        tracking_uri: of the MLflow server.
        version: number of the version; by default the one ``staging`` points to.
        actor: who promotes it; by default :func:`training.ledger.default_actor`.
        reason: recorded in the ledger.
        responsibility: what a person takes responsibility for if gates refuse, or cannot decide.

    Raises:
        GateRefusedError: it was refused at training, or is worse than production, and nobody overrode that.
        DecisionNeededError: it raises a question that only a person can answer, and nobody answered it.
        RegistryError: no such version, nothing staged, a damaged bundle, or no server.
    """
    client = connect(tracking_uri)
    taken = responsibility or Responsibility()
    candidate = get_version(client, model_name, version) if version else _staged(client, model_name)
    current, before = by_alias(client, model_name, PRODUCTION), compare.incumbent(client, model_name)
    if before is not None and current is not None and before.version == current.version == candidate.version:
        raise RegistryError(f"version {candidate.version} of {model_name!r} is in production already")
    model = fetch_model(client, candidate, verdict_required=False)
    incumbent = compare.production(client, before, model.contract)
    results = _verdicts(client, candidate, model, incumbent, limits or GateLimits())
    acknowledged = taken.check(str(candidate.version), results)
    actor = actor or ledger.default_actor()
    if taken.override:
        _override(client, candidate, model, results, actor=actor, reason=taken.override)
    metrics: dict[str, float] = {
        name: model.manifest.metrics[name] for name in _EVIDENCE if name in model.manifest.metrics
    }
    move = ledger.new_move(
        "promote",
        PRODUCTION,
        old=current,
        new=candidate,
        actor=actor,
        grounds=ledger.Grounds(
            reason=reason, results=results, metrics=metrics, override=taken.override, acknowledged=acknowledged
        ),
    )
    if incumbent and incumbent.contract and compare.BREAKING in acknowledged:
        store_break(client, candidate, incumbent.contract.sha256)
    _set_production(client, move, candidate, current=current, before=before)
    return move


def _staged(client: MlflowClient, model_name: str) -> ModelVersion:
    """The version that ``staging`` names."""
    staged = by_alias(client, model_name, STAGING)
    if isinstance(staged, ModelVersion):
        return staged
    gone = f"version {staged.version}, which it named, was deleted in MLflow; " if staged is not None else ""
    raise RegistryError(
        f"no version of {model_name!r} has the alias {STAGING!r}: {gone}train one first, or name a version"
    )


def _verdicts(
    client: MlflowClient,
    version: ModelVersion,
    model: serving.Model,
    incumbent: compare.Production | None,
    limits: GateLimits,
) -> list[GateResult]:
    """The verdicts sealed in the version's manifest, with those about production repeated against the incumbent."""
    features, churned = fetch_holdout(client, version)
    scores = model.score(features)
    candidate = compare.Candidate(
        score=model.score, features=features, churned=churned, scores=scores, auc=auc(churned, scores)
    )
    now = [compare.gate(client, incumbent, candidate, limits), compare.clients(incumbent, model.contract)]
    sealed = model.manifest.gates
    if sealed is None:
        sealed = [GateResult(name="verdict", passed=False, detail="the manifest records no verdict of its gates")]
    repeated = {result.name for result in now}
    return [result for result in sealed if result.name not in repeated] + now


def _override(
    client: MlflowClient,
    version: ModelVersion,
    model: serving.Model,
    results: list[GateResult],
    *,
    actor: str,
    reason: str,
) -> None:
    """Store the decision where serving looks for it."""
    store_override(
        client,
        version,
        Override(
            manifest_sha256=model.fingerprint.hex(),
            gates=[gate.name for gate in gates.refusals(results)],
            reason=reason,
            actor=actor,
            at=datetime.now(UTC),
        ),
    )


def rollback(tracking_uri: str, model_name: str, *, actor: str | None = None, reason: str = "") -> Move:
    """Serve the previous version again; what was in production becomes ``previous``, so a second call undoes the first.

    If the alias was moved by hand, that move is undone: the version that was promoted last serves again. If that was
    deleted in MLflow, the one before it serves.

    Raises:
        RefusedVersionError: the version to go back to must not be served.
        RegistryError: nothing to roll back to, a damaged bundle, or no server.
    """
    client = connect(tracking_uri)
    current, before = by_alias(client, model_name, PRODUCTION), compare.incumbent(client, model_name)
    by_hand = before is not None and (current is None or current.version != before.version)
    target = before if by_hand and isinstance(before, ModelVersion) else by_alias(client, model_name, PREVIOUS)
    if isinstance(target, DeletedVersion):
        raise RegistryError(
            f"version {target.version} of {model_name!r}, which was in production before, was deleted in MLflow: "
            "promote another version instead"
        )
    if target is None or (current is not None and current.version == target.version):
        raise RegistryError(
            f"{model_name!r} has no earlier production version to roll back to: promote another version instead"
        )
    model = fetch_model(client, target)  # raises if it must no longer be served
    if isinstance(current, ModelVersion):
        # The way back is open, whatever became of the contract since.
        store_break(client, target, contract_sha256(current))
    move = ledger.new_move(
        "rollback",
        PRODUCTION,
        old=current,
        new=target,
        actor=actor or ledger.default_actor(),
        grounds=ledger.Grounds(reason=reason, results=model.manifest.gates or []),
    )
    _set_production(client, move, target, current=current, before=before)
    return move


def history(tracking_uri: str, model_name: str) -> list[Move]:
    """List every move of every alias, oldest first, and at the end what was done by hand and not recorded yet.

    Raises:
        RegistryError: no such model, or no server.
    """
    client = connect(tracking_uri)
    known = compare.moves(client, model_name)
    current, before = by_alias(client, model_name, PRODUCTION), compare.incumbent(client, model_name)
    if noticed := _moved_by_hand(current, before):
        known.append(noticed)
    return known


def _moved_by_hand(current: AnyVersion | None, before: AnyVersion | None) -> Move | None:
    """What was done to ``production`` without `churn`, as noticed now: a move or a deletion; None if nothing was."""
    deleted = isinstance(before, DeletedVersion) and (current is None or current.version == before.version)
    if before is None or (not deleted and (current is None or current.version == before.version)):
        return None
    what = (
        f"version {before.version} was deleted in MLflow; `churn rollback` serves the one before it"
        if deleted
        else "the alias was moved in MLflow; `churn rollback` undoes it"
    )
    return ledger.new_move(
        "by hand",
        PRODUCTION,
        old=before,
        new=current or before,
        actor="unknown",
        grounds=ledger.Grounds(reason=f"not by churn: {what}"),
    )


def _set_production(
    client: MlflowClient,
    move: Move,
    target: ModelVersion,
    *,
    current: AnyVersion | None,
    before: AnyVersion | None,
) -> None:
    """Record the move, then carry it out.

    Args:
        current: the version that the alias names now. If it was put there by hand it never becomes ``previous``: no
            gate vouches for it.
        before: the version that `churn` put into production last.
    """
    with plain_errors(f"cannot move {PRODUCTION!r} to version {target.version}"):
        if noticed := _moved_by_hand(current, before):
            # The ledger is in order of time, and this move came first.
            at = move.at - timedelta(microseconds=1)
            ledger.record(client, target.name, noticed.model_copy(update={"at": at}))
        ledger.record(client, target.name, move)
        # The tag first: serving reports an alias as moved by hand if its version lacks the tag.
        tag_stage(client, target, STAGE_PRODUCTION)
        # `previous` next: a failure in between leaves `production` where it was.
        if isinstance(before, ModelVersion) and before.version != target.version:
            client.set_registered_model_alias(target.name, PREVIOUS, before.version)
        client.set_registered_model_alias(target.name, PRODUCTION, target.version)
        present = [version for version in (current, before) if isinstance(version, ModelVersion)]
        for old in {version.version: version for version in present if version.version != target.version}.values():
            tag_stage(client, old, STAGE_ARCHIVED)
        staged = by_alias(client, target.name, STAGING)
        if staged is not None and staged.version == target.version:
            client.delete_registered_model_alias(target.name, STAGING)
    descriptions.describe(client, target.name)
