"""Arguments and files of Thanos' programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import yaml

HTTP: Final = 10902
GRPC: Final = 10901
HTTP_PORT_NAME: Final = "thanos-http"
GRPC_PORT_NAME: Final = "thanos-grpc"
"""Of the sidecar, whose pod has an `http` of its own."""
CONFIG: Final = "/etc/thanos"
BUCKET_FILE: Final = "bucket.yaml"
REPLICA: Final = "replica"
"""The label by which Prometheus' replicas differ, as in `infra/kit/scrape.py`."""
FINE_DAYS: Final = 30
"""For how long every sample is kept; later only means of five minutes and of an hour."""

_LISTEN: Final = [f"--http-address=0.0.0.0:{HTTP}"]
_ANSWER: Final = [*_LISTEN, f"--grpc-address=0.0.0.0:{GRPC}"]
_BUCKET: Final = [f"--objstore.config-file={CONFIG}/{BUCKET_FILE}"]


def bucket(name: str, region: str) -> str:
    """The file that says where blocks are kept."""
    config = {"bucket": name, "endpoint": f"s3.{region}.amazonaws.com", "region": region, "aws_sdk_auth": True}
    return yaml.safe_dump({"type": "S3", "config": config}, sort_keys=False)


def sidecar(data: str, prometheus_port: int) -> list[str]:
    """Of the sidecar of a Prometheus with its blocks in ``data``."""
    return [
        "sidecar",
        f"--tsdb.path={data}",
        f"--prometheus.url=http://127.0.0.1:{prometheus_port}",
        *_ANSWER,
        *_BUCKET,
    ]


def query(stores: Sequence[str]) -> list[str]:
    """Of the query, which asks every address that these names have."""
    endpoints = [f"--endpoint=dns+{store}:{GRPC}" for store in stores]
    return ["query", *_ANSWER, f"--query.replica-label={REPLICA}", "--query.auto-downsampling", *endpoints]


def store(data: str) -> list[str]:
    """Of the store."""
    return ["store", f"--data-dir={data}", *_ANSWER, *_BUCKET]


def compact(data: str, retention_days: int) -> list[str]:
    """Of the compactor: the one that deletes."""
    fine = min(FINE_DAYS, retention_days)
    return [
        "compact",
        "--wait",
        f"--data-dir={data}",
        f"--retention.resolution-raw={fine}d",
        f"--retention.resolution-5m={retention_days}d",
        f"--retention.resolution-1h={retention_days}d",
        f"--deduplication.replica-label={REPLICA}",
        "--compact.enable-vertical-compaction",
        *_LISTEN,
        *_BUCKET,
    ]
