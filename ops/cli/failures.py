"""How a command fails: its exit code, a message on stderr and, with ``--json``, one JSON object on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ops.console import UnfinishedError, print_error, print_json
from ops.errors import exit_code, is_error_of
from ops.progress import doing

JSON: Final = "--json"
OURS: Final = frozenset({"app", "benchmarks", "dashboards", "infra", "ops", "training"})
"""Packages whose errors are written for people; an error of any other package is unexpected."""


def tell(error: Exception, arguments: Sequence[str]) -> int:
    """Print why a command failed.

    Args:
        error: the exception that ended it.
        arguments: the words of the command line after the program's name.

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


def as_json(message: str, code: int, details: Sequence[Any] = ()) -> dict[str, Any]:
    """The object that a program reads."""
    return {"error": {"message": message, "exit_code": int(code), "problems": list(details)}}


def words(error: Exception, arguments: Sequence[str] = ()) -> str:
    """The message of an error; that of wrong settings without what pydantic writes around it."""
    if is_error_of(error, "pydantic", "ValidationError"):
        return "; ".join(": ".join(filter(None, (where, what))) for where, what in _wrong_settings(error))
    text = str(error).strip()
    if text and type(error).__module__.partition(".")[0] in OURS:
        return text
    command = " ".join(["churn", *_command(arguments)])
    step = f" at the step '{doing()}'" if doing() else ""
    return (
        f"unexpected {type(error).__name__} in '{command}'{step}: {text or 'it has no message'}. "
        "Run it again with CHURN_DEBUG=1 in the environment to see the traceback"
    )


def problems(error: Exception) -> list[Any]:
    """Each problem by itself, for a program; empty if there is only the message."""
    if is_error_of(error, "training.files", "PathError"):
        return [error.as_dict()]  # type: ignore[attr-defined]  # a PathError, recognised without an import
    if is_error_of(error, "training.contract_file", "ContractError"):
        mistakes: list[Any] = error.as_dict()["problems"]  # type: ignore[attr-defined]  # a ContractError, likewise
        return mistakes
    if is_error_of(error, "pydantic", "ValidationError"):
        return [{"setting": where, "problem": what} for where, what in _wrong_settings(error)]
    if is_error_of(error, "training.violations", "DataError"):
        groups: list[Any] = error.as_dict()["groups"]  # type: ignore[attr-defined]  # a DataError, recognised likewise
        return groups
    return []


def _wrong_settings(error: Any) -> list[tuple[str, str]]:
    return [(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]


def _command(arguments: Sequence[str]) -> list[str]:
    """The words that name the command: at most two, before its first option."""
    command: list[str] = []
    for word in arguments:
        if word.startswith("-"):
            if command:
                break
            continue
        if not word.isalpha():
            break
        command.append(word)
    return command[:2]
