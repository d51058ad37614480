"""Arguments and configuration of Thanos' programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import yaml

HTTP: Final = 10902
GRPC: Final = 10901
HTTP_PORT_NAME: Final = "thanos-http"
GRPC_PORT_NAME: Final = "thanos-grpc"
"""Names of the sidecar's ports, since its pod has a port `http` already."""
CONFIG: Final = "/etc/thanos"
BUCKET_FILE: Final = "bucket.yaml"
REPLICA: Final = "replica"
"""The label by which Prometheus' replicas differ; `infra/kit/scrape.py` sets it."""
FINE_DAYS: Final = 30
"""How long every sample is kept; after that only aggregates over five minutes and over an hour."""

_LISTEN: Final = [f"--http-address=0.0.0.0:{HTTP}"]
_SERVE: Final = [*_LISTEN, f"--grpc-address=0.0.0.0:{GRPC}"]
_BUCKET: Final = [f"--objstore.config-file={CONFIG}/{BUCKET_FILE}"]


def bucket(name: str, region: str) -> str:
    """Return the file that names the bucket with the blocks."""
    config = {"bucket": name, "endpoint": f"s3.{region}.amazonaws.com", "region": region, "aws_sdk_auth": True}
    return yaml.safe_dump({"type": "S3", "config": config}, sort_keys=False)


def sidecar(data: str, prometheus_port: int) -> list[str]:
    """Return the arguments of the sidecar of a Prometheus whose blocks are in ``data``."""
    return [
        "sidecar",
        f"--tsdb.path={data}",
        f"--prometheus.url=http://127.0.0.1:{prometheus_port}",
        *_SERVE,
        *_BUCKET,
    ]


def query(stores: Sequence[str]) -> list[str]:
    """Return the arguments of the query, which asks every address that these names resolve to."""
    endpoints = [f"--endpoint=dns+{store}:{GRPC}" for store in stores]
    return ["query", *_SERVE, f"--query.replica-label={REPLICA}", "--query.auto-downsampling", *endpoints]


def store(data: str) -> list[str]:
    """Return the arguments of the store, which serves the blocks in the bucket."""
    return ["store", f"--data-dir={data}", *_SERVE, *_BUCKET]


def compact(data: str, retention_days: int) -> list[str]:
    """Return the arguments of the compactor, the only program that deletes blocks."""
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
