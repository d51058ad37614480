"""Errors that an operator can act on, and the exit codes that they mean."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """Exit codes of `churn` and of the programs in pods: Kubernetes decides by them whether to retry a job."""

    DONE = 0
    """It worked, or there was nothing to do."""
    FAILED = 1
    """It failed, a gate refused it, or it may pass when it is tried again."""
    BAD_INPUT = 2
    """A person must act: bad data, bad usage, a wrong configuration. A job is not tried again."""


class OpsError(Exception):
    """Something that the operator can put right; the message says what and how."""


class TemporaryError(OpsError):
    """Something that may pass by itself, and is worth another try."""


class RefusedError(OpsError):
    """A decision against a model, such as a gate's: the command worked, and its answer is no."""


_WRONG_INPUT: Final = (
    ("training.boosting", "EstimatorError"),
    ("training.contract_file", "ContractError"),
    ("training.files", "PathError"),
    ("training.foreign_error", "ForeignModelError"),
    ("training.violations", "DataError"),
    ("pydantic", "ValidationError"),
)
"""Errors of packages that are slow to load, or that not every image has."""


def is_error_of(error: BaseException, module: str, name: str) -> bool:
    """Whether an error is of a class of a module, without importing it: one that is not loaded raised nothing."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(error, getattr(loaded, name))


def exit_code(error: BaseException) -> ExitCode:
    """The exit code that an error means."""
    if isinstance(error, OpsError):
        return ExitCode.FAILED if isinstance(error, TemporaryError | RefusedError) else ExitCode.BAD_INPUT
    if any(is_error_of(error, module, name) for module, name in _WRONG_INPUT):
        return ExitCode.BAD_INPUT
    return ExitCode.FAILED
