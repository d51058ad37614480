"""What a person takes responsibility for at a promotion: overridden refusals, and questions that no gate can decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.bundle import GateResult
from training import gates
from training.compare import BREAKING
from training.mlflow_store import RegistryError

REPLACE_SCHEMA: Final = "--replace-schema"
ACKNOWLEDGE: Final = "--acknowledge"


class GateRefusedError(RegistryError):
    """A version that did not pass its gates; ``results`` holds every verdict."""

    def __init__(self, version: str, results: list[GateResult]) -> None:
        self.results = results
        reasons = "; ".join(f"{gate.name}: {gate.detail}" for gate in gates.refusals(results))
        super().__init__(f"version {version} is refused by gate {reasons}")


class DecisionNeededError(RegistryError):
    """A version that passed its gates, but raises a question that only a person can answer."""


@dataclass(frozen=True, kw_only=True)
class Responsibility:
    """The decisions of the person who promotes.

    Attributes:
        override: why the version is to be served although gates refused it; "" overrides nothing.
        acknowledged: gates whose warnings the person has considered.
        breaking: clients of the version in production may break.
        replace_schema: the version in production, with which this one cannot be compared, is to be replaced.
    """

    override: str = ""
    acknowledged: tuple[str, ...] = ()
    replace_schema: bool = False
    breaking: bool = False

    def check(self, version: str, results: list[GateResult]) -> list[str]:
        """Check the options against the verdicts; returns those that were needed and set, for the ledger.

        Raises:
            GateRefusedError: a gate refused the version and was not overridden.
            DecisionNeededError: an option is missing.
            RegistryError: an option is set that no gate asks for.
        """
        refused = gates.refusals(results)
        if refused and not self.override:
            raise GateRefusedError(version, results)
        if self.override and not refused:
            raise RegistryError(f"version {version} passed every gate: promote it without --override")
        options = {f"{ACKNOWLEDGE} {name}" for name in self.acknowledged}
        if self.replace_schema:
            options.add(REPLACE_SCHEMA)
        if self.breaking:
            options.add(BREAKING)
        needed = {gate.needs: gate for gate in results if gate.needs}
        if idle := sorted(options - needed.keys()):
            raise RegistryError(f"{', '.join(idle)}: no gate of version {version} asks for that; leave it out")
        missing = [option for option in needed if option not in options]
        if missing and not self.override:  # whoever overrides refusals takes responsibility for the rest as well
            questions = "; ".join(f"{needed[option].name}: {needed[option].detail}" for option in missing)
            raise DecisionNeededError(
                f"version {version} needs a person's decision, {' and '.join(missing)}, because of gate {questions}"
            )
        return sorted(options)
