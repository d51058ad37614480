"""`mlflow` as a program whose server runs in the process of the command line.

The real one starts uvicorn in a second process, which imports MLflow once more: five seconds of processor time for each
server. Tests of what pods run and of the embedded platform use the real one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import uvicorn
from mlflow import server
from mlflow.cli import cli


def _exec_cmd(command: Sequence[str], *, extra_env: Mapping[str, str], **_: Any) -> NoReturn:
    """Run the command's uvicorn, ``python -m uvicorn OPTIONS``, here."""
    os.environ.update(extra_env)
    uvicorn.main(command[command.index("uvicorn") + 1 :])
    sys.exit()


if __name__ == "__main__":
    setattr(server, "_exec_cmd", _exec_cmd)  # noqa: B010  # a private name
    cli()
