"""A model with everything that answers from it: parser, counters and names; one immutable value, swapped as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from app.contract import Contract
from app.metrics import ModelCounters
from app.model import Model
from app.parsing import Parser


@dataclass(frozen=True, kw_only=True)
class Live:
    """What a request reads once, so that no answer mixes two versions; built by :func:`prepare`."""

    model: Model
    parser: Parser
    counters: ModelCounters
    key: str
    """Name of the customer's key."""
    money: int | None
    """Position of the feature with the money at risk."""

    @property
    def contract(self) -> Contract:
        return self.model.contract


def prepare(model: Model, max_rows: int, before: Live | None) -> Live:
    """Compile what serves a model, which takes milliseconds and is done outside of requests.

    Args:
        max_rows: bound of a batch.
        before: what served until now; its parser is used again if the contract is the same.
    """
    contract = model.contract
    same = before is not None and before.contract.sha256 == contract.sha256
    money = contract.money_at_risk
    return Live(
        model=model,
        parser=before.parser if before is not None and same else Parser(contract, max_rows),
        counters=ModelCounters(model),
        key=contract.key.name,
        money=None if money is None else contract.names.index(money),
    )
