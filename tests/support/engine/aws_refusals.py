"""What AWS refuses of a request whose inputs Pulumi's provider accepts: a stand-in that took these hid the faults."""

from __future__ import annotations

from typing import Final

from support.alarm_rules import FIXED_PARAMETERS
from support.engine.wire import Properties

LEAST_CONCURRENCY: Final = 10
"""Limit of a new account, all of which stays unreserved (awslabs/fhir-works-on-aws-deployment 691)."""


def refusal(kind: str, inputs: Properties) -> str | None:
    """Return AWS' message, or None where it accepts."""
    if kind == "Function" and (inputs.get("reservedConcurrentExecutions") or 0) > 0:
        return (
            "InvalidParameterValueException: Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{LEAST_CONCURRENCY}]."
        )
    if kind == "ParameterGroup":
        fixed = [item["name"] for item in inputs.get("parameters", []) if item["name"] in FIXED_PARAMETERS]
        if fixed:
            return f"InvalidParameterValue: The parameter {fixed[0]} cannot be modified."
    return None
