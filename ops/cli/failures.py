"""How a command fails: the exit code, the words on stderr and, with ``--json``, one JSON object on standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from ops.console import UnfinishedError, print_error, print_json
from ops.errors import BAD_INPUT
from ops.progress import doing
from training.files import PathError

FAILED: Final = 1
JSON: Final = "--json"
OURS: Final = frozenset({"app", "benchmarks", "dashboards", "infra", "ops", "training"})
"""Packages whose errors are written for people; those of any other are said to be unexpected."""


def tell(error: Exception, arguments: Sequence[str]) -> int:
    """Say why a command failed.

    Args:
        error: what came out of it.
        arguments: of the command line, without the program's name.

    Returns:
        the exit code.
    """
    result: dict[str, Any] = {}
    if isinstance(error, UnfinishedError) and isinstance(error.__cause__, Exception):
        result, error = error.result, error.__cause__
    code, message = exit_code(error), words(error, arguments)
    if JSON in arguments:
        print_json(result | as_json(message, code, problems(error)))
    print_error(message)
    return code


def as_json(message: str, code: int, found: Sequence[Any] = ()) -> dict[str, Any]:
    """The object that a program reads."""
    return {"error": {"message": message, "exit_code": code, "problems": list(found)}}


def exit_code(error: Exception) -> int:
    """2 for what the caller must correct, 1 for everything else."""
    caller = isinstance(error, PathError) or _is_data_error(error) or _is_validation_error(error)
    return BAD_INPUT if caller else FAILED


def words(error: Exception, arguments: Sequence[str] = ()) -> str:
    """The error in words; those of a settings object without pydantic's frame around them."""
    if _is_validation_error(error):
        return "; ".join(": ".join(filter(None, (where, what))) for where, what in _wrong_settings(error))
    text = str(error).strip()
    if text and type(error).__module__.partition(".")[0] in OURS:
        return text
    command = " ".join(["churn", *_command(arguments)])
    step = f" at the step '{doing()}'" if doing() else ""
    return (
        f"unexpected {type(error).__name__} in '{command}'{step}: {text or 'it says nothing more'}. "
        "Run it again with CHURN_DEBUG=1 in the environment to see the traceback"
    )


def problems(error: Exception) -> list[Any]:
    """Each problem by itself, for a program; empty where there is but the message."""
    if isinstance(error, PathError):
        return [error.as_dict()]
    if _is_validation_error(error):
        return [{"setting": where, "problem": what} for where, what in _wrong_settings(error)]
    if _is_data_error(error):
        found: list[Any] = error.as_dict()["groups"]  # type: ignore[attr-defined]  # a DataError, told apart without its import
        return found
    return []


def _is_data_error(error: Exception) -> bool:
    # A module that is not loaded raised nothing, and this one takes half a second to load.
    module = sys.modules.get("training.violations")
    return module is not None and isinstance(error, module.DataError)


def _is_validation_error(error: Exception) -> bool:
    module = sys.modules.get("pydantic")
    return module is not None and isinstance(error, module.ValidationError)


def _wrong_settings(error: Any) -> list[tuple[str, str]]:
    return [(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]


def _command(arguments: Sequence[str]) -> list[str]:
    """The words that name the command: at most two, before its first option."""
    found: list[str] = []
    for word in arguments:
        if word.startswith("-"):
            if found:
                break
            continue
        if not word.isalpha():
            break
        found.append(word)
    return found[:2]
