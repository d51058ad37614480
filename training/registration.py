"""Adds a new version to the registry: registered whatever its gates say, staged only if they passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from app.bundle import MANIFEST_TAG, STAGE_TAG, STAGES, GateResult
from app.names import PRODUCTION, STAGING
from training import descriptions, gates, ledger
from training.mlflow_store import (
    CONTRACT_SHA256_TAG,
    CONTRACT_TAG,
    by_alias,
    create_version,
    get_version,
    plain_errors,
)
from training.native import DIGEST_TAG
from training.responsibility import GateRefusedError

if TYPE_CHECKING:
    from training.candidate import CandidateVersion, LoggedModel  # importing it loads the plots' libraries

STAGE_NONE, STAGE_ARCHIVED = "None", "Archived"
STAGE_STAGING, STAGE_PRODUCTION = STAGES[STAGING], STAGES[PRODUCTION]

GATE_TAG: Final = "gate"
"""Version tag with the verdict of all gates together."""


def register(client: MlflowClient, candidate: CandidateVersion, logged: LoggedModel) -> str:
    """Register a logged model as the next version, with its verdicts; a refused one too, so that it can be looked at.

    Returns:
        the version's number.
    """
    facts = candidate.facts
    tags = {
        MANIFEST_TAG: candidate.manifest_sha256,
        CONTRACT_TAG: facts.contract.name,
        CONTRACT_SHA256_TAG: facts.contract.sha256,
        "model_type": facts.model_type,
        "dataset_sha256": facts.dataset_sha256,
        STAGE_TAG: STAGE_NONE,
        GATE_TAG: gates.verdict(candidate.results),
    }
    if logged.native_sha256 is not None:
        tags[DIGEST_TAG] = logged.native_sha256
    return create_version(client, facts.model_name, model_id=logged.model_id, run_id=facts.run_id, tags=tags)


def stage(
    client: MlflowClient,
    model_name: str,
    version: str,
    *,
    results: list[GateResult],
    metrics: dict[str, float],
    actor: str,
) -> None:
    """Move ``staging`` to a version that passed its gates.

    Raises:
        GateRefusedError: it did not pass; no alias moves.
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
        grounds=ledger.Grounds(reason="passed its gates", results=results, metrics=metrics),
    )
    with plain_errors(f"cannot stage version {version}"):
        ledger.record(client, model_name, move)
        # The tag first: serving reports an alias as moved by hand if its version lacks the tag.
        tag_stage(client, candidate, STAGE_STAGING)
        client.set_registered_model_alias(model_name, STAGING, version)
        # A deleted version has no tags any more.
        if isinstance(old, ModelVersion) and old.version != version and old.tags.get(STAGE_TAG) == STAGE_STAGING:
            tag_stage(client, old, STAGE_ARCHIVED)
    descriptions.describe(client, model_name)


def tag_stage(client: MlflowClient, version: ModelVersion, word: str) -> None:
    client.set_model_version_tag(version.name, version.version, STAGE_TAG, word)
