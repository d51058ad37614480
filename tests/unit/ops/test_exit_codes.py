"""One table of exit codes, for `churn` and for every program of a pod."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from infra.kit import jobs
from ops.backup.storage.base import MissingError
from ops.errors import ExitCode, OpsError, RefusedError, TemporaryError, exit_code
from training.files import PathError
from training.violations import DataError


class _Settings(BaseModel):
    port: int


def _wrong_settings() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        _Settings.model_validate({"port": "x"})
    return caught.value


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OpsError("the password is wrong"), ExitCode.BAD_INPUT),
        (MissingError("a file is missing"), ExitCode.BAD_INPUT),
        (TemporaryError("no answer"), ExitCode.FAILED),
        (RefusedError("a gate refused it"), ExitCode.FAILED),
        (PathError("a.csv", "no such file", "name another"), ExitCode.BAD_INPUT),
        (DataError("a.csv", []), ExitCode.BAD_INPUT),
        (_wrong_settings(), ExitCode.BAD_INPUT),
        (OSError(5, "Input/output error"), ExitCode.FAILED),
        (KeyError("x"), ExitCode.FAILED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_has_one_exit_code(error: Exception, code: ExitCode) -> None:
    assert exit_code(error) is code


def test_the_codes_are_those_that_jobs_rely_on() -> None:
    assert [(code.name, code.value) for code in ExitCode] == [("DONE", 0), ("FAILED", 1), ("BAD_INPUT", 2)]
    assert ExitCode.BAD_INPUT.value == int(jobs.BAD_INPUT)
