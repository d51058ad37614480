"""Backups and restores as `churn` and the jobs of the cluster run them: orderly ends, metrics, clear errors."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ops import metric_names
from ops.backup import restore as restores
from ops.backup import run as runs
from ops.backup.options import BackupOptions, PostgresOptions, RestoreOptions
from ops.errors import OpsError, TemporaryError
from ops.pushgateway import push
from ops.termination import exit_on_sigterm

GATEWAY: Final = "PUSHGATEWAY_URL"
Say = Callable[[str], None]


def backup(options: BackupOptions, say: Say) -> runs.Outcome:
    """Make a backup, and push what became of it.

    Raises:
        OpsError: it could not be made, and nothing was changed.
    """
    exit_on_sigterm()
    os.umask(0o077)  # a dump has the hashes of passwords
    started = time.monotonic()
    figures = {metric_names.BACKUP_SUCCESS: 0.0}
    try:
        with clear_errors():
            outcome = runs.run(options, say)
        figures = outcome.figures(time.monotonic() - started, time.time())
    finally:
        figures |= {metric_names.BACKUP_LAST_RUN: time.time(), **runs.space(options.to)}
        kind = "postgres" if isinstance(options, PostgresOptions) else "artifacts"
        push(os.environ.get(GATEWAY), "backup", figures, kind=kind)
    return outcome


def restore(options: RestoreOptions, say: Say) -> restores.Result:
    """Restore a backup.

    Raises:
        OpsError: it could not be restored, and the targets are as they were.
    """
    exit_on_sigterm()
    with clear_errors():
        return restores.restore(options, say)


@contextmanager
def clear_errors(prefix: str = "") -> Iterator[None]:
    """Put errors of the operating system in words, and ``prefix`` before each message."""
    try:
        yield
    except OpsError as error:
        if not prefix:
            raise
        raise type(error)(f"{prefix}{error}") from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            advice = "the volume is full: enlarge it, or keep backups for fewer days"
            raise OpsError(f"{prefix}{where}{advice}") from error
        raise TemporaryError(f"{prefix}{where}{error.strerror or error}") from error
