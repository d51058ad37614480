"""The version that a candidate is compared with, and the rows of the comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from app import model as serving
from app.bundle import MANIFEST_TAG, OVERRIDE_TAG, GateResult
from app.compatibility import compare
from app.contract import Contract, Features, Scores
from app.names import PRODUCTION
from app.schemas import SCHEMA_VERSION
from training import ledger, regression
from training.auc import Estimate
from training.config import GateLimits
from training.ledger import AnyVersion, DeletedVersion
from training.mlflow_store import (
    SCHEMA_TAG,
    RegistryError,
    by_alias,
    fetch_holdout,
    fetch_model,
    find_version,
    plain_errors,
    registered_model,
)
from training.pipeline import Labels
from training.population_check import SCORE, PopulationCheck

CONTRACT_GATE: Final = "contract"
BREAKING: Final = "--breaking"
"""Option by which a person accepts that clients break."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A version proposed for serving: how it scores coded customers, its holdout, and its scores and AUC there."""

    score: Callable[[Features], Scores]
    features: Features
    churned: Labels
    scores: Scores
    auc: Estimate


@dataclass(frozen=True, kw_only=True)
class Production:
    """The version in production: its model, or the reason why nothing can be compared with it."""

    version: AnyVersion
    model: serving.Model | None = None
    doubt: str = ""
    contract: Contract | None = None
    """Of its customers, as far as it can be known."""

    def differences(self, features: Features, scores: Scores) -> list[str]:
        """Sentences about how these customers differ from those that it was trained on."""
        if self.model is None:
            return []
        check = PopulationCheck(self.model.contract, self.model.reference)
        check.add(features, scores)
        return [
            f"unlike the customers of version {self.version.version} in production: {difference.words}"
            for difference in check.differences()
            if difference.name != SCORE
        ]


def coded_alike(one: Contract, other: Contract) -> bool:
    """Whether the same customer has the same codes by two contracts, so that one model can score the other's rows.

    Bounds, names in files and descriptions may differ. A blank must count as the same, too.
    """
    return [(f.name, f.is_category, f.categories, f.blank) for f in one.features] == [
        (f.name, f.is_category, f.categories, f.blank) for f in other.features
    ]


def production(client: MlflowClient, version: AnyVersion | None, contract: Contract) -> Production | None:
    """The :func:`incumbent` with its model, if it can score customers of ``contract``; None if there is none."""
    if version is None:
        return None
    if isinstance(version, DeletedVersion):
        return Production(version=version, doubt="was deleted in MLflow")
    return _loaded(client, version, contract)


def _loaded(client: MlflowClient, version: ModelVersion, contract: Contract) -> Production:
    if version.tags.get(MANIFEST_TAG) is None:
        return Production(version=version, doubt="was not made by `churn train` or `churn register`")
    if version.tags.get(SCHEMA_TAG, str(SCHEMA_VERSION)) != str(SCHEMA_VERSION):
        return Production(version=version, doubt="was made for another customer schema")
    try:
        model = fetch_model(client, version, verdict_required=False)
    except RegistryError as error:
        return Production(version=version, doubt=f"cannot be loaded ({error})")
    own = model.contract
    if not coded_alike(own, contract):
        same = own.name == contract.name
        other = f"{own.name!r} with other features" if same else f"{own.name!r} and not {contract.name!r}"
        return Production(version=version, contract=own, doubt=f"was made for another contract, {other}")
    if model.manifest.refusals and version.tags.get(OVERRIDE_TAG) is None:
        return Production(version=version, contract=own, doubt="was refused by its gates")
    return Production(version=version, contract=own, model=model)


def clients(current: Production | None, contract: Contract) -> GateResult:
    """The verdict of the contract gate: whether clients of the version in production can go on unchanged.

    It never refuses: a breaking contract needs a person who has told the clients.
    """
    if current is None or current.contract is None:
        return GateResult(name=CONTRACT_GATE, passed=True, detail="no contract in production whose clients could break")
    difference = compare(current.contract, contract)
    if difference.verdict != "breaking":
        return GateResult(
            name=CONTRACT_GATE,
            passed=True,
            detail=f"contract {contract.name} is {difference.verdict} for the clients of production",
        )
    return GateResult(
        name=CONTRACT_GATE,
        passed=True,
        detail=f"breaks the clients of version {current.version.version} in production: "
        + "; ".join(map(str, difference.breaking)),
        needs=BREAKING,
    )


def gate(client: MlflowClient, current: Production | None, candidate: Candidate, limits: GateLimits) -> GateResult:
    """The verdict of the regression gate on a candidate, against the version in production."""
    if current is None:
        return regression.not_applicable("there is no production version yet")
    if current.model is None or isinstance(current.version, DeletedVersion):
        return regression.another_schema(str(current.version.version), current.doubt)
    own = None
    try:
        features, churned = fetch_holdout(client, current.version)
    except RegistryError:
        pass  # deleted, or never stored: the recorded figures remain
    else:
        own = regression.Rows(
            churned=churned, candidate=candidate.score(features), production=current.model.score(features)
        )
    here = regression.Rows(
        churned=candidate.churned,
        candidate=candidate.scores,
        production=current.model.score(candidate.features),
    )
    return regression.gate(
        here,
        own,
        current.model.manifest.metrics,
        candidate=candidate.auc,
        version=str(current.version.version),
        limits=limits,
    )


def moves(client: MlflowClient, model_name: str) -> list[ledger.Move]:
    """Read every move of every alias, oldest first.

    Raises:
        RegistryError: no such model, or no server.
    """
    with plain_errors(f"cannot read the history of {model_name!r}"):
        return ledger.read(dict(client.get_registered_model(model_name).tags))


def incumbent(client: MlflowClient, model_name: str) -> AnyVersion | None:
    """The version that a new one is compared with, and that a rollback returns to.

    It is the version that `churn` put into production last: if the alias was moved by hand, no gate vouches for the
    version that it names now. If the ledger has no such move, it is the version that the alias names. It may have been
    deleted since, and with it the alias.
    """
    return last_promoted(client, model_name) or by_alias(client, model_name, PRODUCTION)


def last_promoted(client: MlflowClient, model_name: str) -> AnyVersion | None:
    """The version that `churn` put into production last, as the ledger says; None without such a move.

    Raises:
        RegistryError: the server does not say.
    """
    model = registered_model(client, model_name)
    for move in reversed(ledger.read(dict(model.tags)) if model is not None else []):
        if move.alias == PRODUCTION and move.action in ledger.BY_CHURN:
            return find_version(client, model_name, move.to_version)
    return None
