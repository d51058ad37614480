"""Like bentoml_service, with BentoML's adaptive batching across requests switched on."""

from __future__ import annotations

import os
from typing import Any

import bentoml  # type: ignore[import-not-found]  # installed in the peer's own environment

from benchmarks.serve import native


@bentoml.service(workers=1)
class Churn:
    def __init__(self) -> None:
        self.model = native.load()

    @bentoml.api(batchable=True, max_batch_size=int(os.environ["BENCH_BATCH"]), max_latency_ms=1000)  # type: ignore[untyped-decorator]  # see the import
    def predict(self, customers: list[dict[str, Any]]) -> list[float]:
        return native.score(self.model, customers)
