# ruff: noqa: T201  # a program prints
"""Backups as jobs of the cluster: ``... postgres`` and ``... artifacts``.

A backup is written to a temporary name, verified, made visible, uploaded where there is a bucket, and only then are old
ones deleted. A failure leaves everything as it was.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Never

from ops.backup import run as backup_run
from ops.errors import BAD_INPUT, OpsError, TemporaryError
from ops.pushgateway import push

MAY_PASS: Final = 1
KEEP_DAYS: Final = 7
KEEP_UPLOADED: Final = 90
JOB: Final = "backup"
"""Group of the figures at the pushgateway, with the label `kind`."""

_EPILOG: Final = """\
environment:
  PGSERVICEFILE    libpq's file with host, user and password of the service
  PUSHGATEWAY_URL  where to tell what became of the backup, if anywhere

Exit code: 0 done; 1 a server or a bucket failed, which may pass; 2 a person must act (a wrong password, no bucket, a
full volume, a registered model without its artifacts).

example: python -m ops.backup.program postgres --service churn --database mlflow --to /var/lib/backups
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m ops.backup.program",
        description="Back up the databases or the artifacts of the platform.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = made.add_subparsers(dest="kind", required=True)
    postgres = kinds.add_parser("postgres", help="dump databases and roles as one set")
    postgres.add_argument("--service", required=True, metavar="NAME", help="service of PGSERVICEFILE to connect with")
    postgres.add_argument("--database", required=True, action="append", metavar="NAME", help="may be repeated")
    postgres.add_argument(
        "--wait",
        type=int,
        default=0,
        metavar="SECONDS",
        help="how long a server may not answer at first, as in a pod whose network policy is on its way (%(default)s)",
    )
    artifacts = kinds.add_parser("artifacts", help="copy what is new in the artifact store")
    artifacts.add_argument(
        "--from", dest="source", required=True, metavar="STORE", help="folder, or s3://bucket/prefix"
    )
    for kind in (postgres, artifacts):
        kind.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where backups are kept")
        kind.add_argument("--keep-days", type=_days, default=KEEP_DAYS, metavar="N", help="on the volume (%(default)s)")
        kind.add_argument(
            "--upload", metavar="S3", help="s3://bucket[/prefix] that gets a copy, for --keep-uploaded days"
        )
        kind.add_argument(
            "--keep-uploaded", type=_days, default=KEEP_UPLOADED, metavar="N", help="in the bucket (%(default)s)"
        )
    return made


def _days(text: str) -> int:
    days = int(text)
    if days < 1:
        raise argparse.ArgumentTypeError(f"{days} days keep nothing: at least 1")
    return days


def stop(signal_number: int, _frame: object) -> Never:
    """End in order: temporary files are removed, and PID 1 of a container would ignore the signal otherwise."""
    raise SystemExit(128 + signal_number)


def told(error: OSError | OpsError) -> tuple[str, int]:
    """A failure in one line, and the exit code it means."""
    if isinstance(error, OpsError):
        return str(error), MAY_PASS if isinstance(error, TemporaryError) else BAD_INPUT
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"{where}the volume is full: enlarge it, or keep backups for fewer days", BAD_INPUT
    return f"{where}{error.strerror or error}", MAY_PASS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a backup; returns the exit code."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, stop)
    os.umask(0o077)  # a dump has the hashes of passwords
    gateway, started = os.environ.get("PUSHGATEWAY_URL"), time.monotonic()
    figures = {"churn_backup_success": 0.0}
    try:
        outcome = backup_run.run(options, print)
        figures = outcome.figures(time.monotonic() - started, time.time())
        for broken in outcome.broken:
            print(f"Error: model {broken.model} version {broken.version}: {broken.why}", file=sys.stderr)
        code = BAD_INPUT if outcome.broken else 0
    except (OSError, OpsError) as error:
        message, code = told(error)
        print(f"Error: {message}", file=sys.stderr)
    finally:
        figures["churn_backup_last_run_timestamp_seconds"] = time.time()
        push(gateway, JOB, figures, kind=options.kind)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
