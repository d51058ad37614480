"""The ledger: who moved which alias, when and on what evidence; one tag of the registered model for each move.

Moves are only ever added, each under its own key, so that two operators at the same time cannot overwrite each other's.
The ledger lives in the registry, so the registry's backup includes it.
"""

from __future__ import annotations

import getpass
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.bundle import GateResult

MOVE_TAG: Final = "mlflow.churn.move."
"""MLflow's pages hide tags whose key begins with ``mlflow.``; people read the moves in the model's description."""
_FORMER_MOVE_TAG: Final = "move."
_VALUE_MAX: Final = 4000
"""Longest value of a tag, in characters, that every store of MLflow accepts."""

Action = Literal["stage", "promote", "rollback", "by hand"]
BY_CHURN: Final = frozenset({"promote", "rollback"})
"""Moves of `production` that went through the gates; one "by hand" was noticed afterwards."""


class Move(BaseModel):
    """One move of an alias. ``from_version`` is None if the alias was new; ``at`` is in UTC.

    For a move by hand, ``at`` is the time when it was noticed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: datetime
    actor: str
    action: Action
    alias: str
    from_version: str | None
    to_version: str
    run_id: str | None
    gates: list[GateResult] = []
    metrics: dict[str, float] = {}
    reason: Annotated[str, Field(max_length=500)] = ""
    override: Annotated[str, Field(max_length=500)] = ""
    """Reason for serving the version although gates refused it."""
    acknowledged: list[str] = []
    """Options by which the actor took responsibility for what a gate could not decide."""

    @property
    def why(self) -> str:
        """Reason, override and acknowledgements in one line."""
        override = f"OVERRIDE: {self.override}" if self.override else ""
        return "; ".join(filter(None, [self.reason, override, *self.acknowledged]))


@dataclass(frozen=True, kw_only=True)
class DeletedVersion:
    """A version that an alias or the ledger names, and that somebody deleted in MLflow.

    It is never the same as no version: what was in production was judged by gates, and still serves wherever an API has
    its copy.
    """

    version: str


AnyVersion = ModelVersion | DeletedVersion


def record(client: MlflowClient, model_name: str, move: Move) -> None:
    """Add one move to the ledger."""
    value = move.model_dump_json()
    if len(value) > _VALUE_MAX:  # the verdicts matter more than their wording
        short = [gate.model_copy(update={"detail": gate.detail[:120]}) for gate in move.gates]
        value = move.model_copy(update={"gates": short}).model_dump_json()
    key = f"{MOVE_TAG}{move.at:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}"
    client.set_registered_model_tag(model_name, key, value)


def read(tags: dict[str, str]) -> list[Move]:
    """Read the moves from a registered model's tags, oldest first; tags in any other format are ignored."""
    values = {
        key.removeprefix(prefix): value
        for prefix in (_FORMER_MOVE_TAG, MOVE_TAG)
        for key, value in tags.items()
        if key.startswith(prefix)
    }
    moves = []
    for _, value in sorted(values.items()):  # after the prefix, a key begins with the time
        try:
            moves.append(Move.model_validate_json(value))
        except ValidationError:
            continue
    return moves


def default_actor() -> str:
    """Who is moving an alias: ``CHURN_ACTOR`` (for automation), else the login name."""
    try:
        return os.environ.get("CHURN_ACTOR") or getpass.getuser()
    except (KeyError, OSError):  # the user of a container has no name
        return f"uid {os.getuid()}"


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """Why an alias moves: a reason in words, and the evidence behind it.

    ``override`` and ``acknowledged`` are as in :class:`Move`.
    """

    reason: str
    results: Sequence[GateResult] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    override: str = ""
    acknowledged: Sequence[str] = ()


def new_move(
    action: Action, alias: str, *, old: AnyVersion | None, new: AnyVersion, actor: str, grounds: Grounds
) -> Move:
    """The move of ``alias`` from one version to another, now."""
    return Move(
        at=datetime.now(UTC),
        actor=actor,
        action=action,
        alias=alias,
        from_version=str(old.version) if old else None,
        to_version=str(new.version),
        run_id=None if isinstance(new, DeletedVersion) else new.run_id,
        gates=list(grounds.results),
        metrics=dict(grounds.metrics),
        reason=grounds.reason[:500],
        override=grounds.override[:500],
        acknowledged=list(grounds.acknowledged),
    )
