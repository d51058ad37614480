"""Like litserve_server, with LitServe's batching across requests switched on; each request holds one customer."""

from __future__ import annotations

import sys
from typing import Any

import litserve  # type: ignore[import-not-found]  # installed in the peer's own environment

from benchmarks.serve import native


class Churn(litserve.LitAPI):  # type: ignore[misc]  # see the import
    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        self.model = native.load()

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [request["customers"][0] for request in inputs]

    def predict(self, customers: list[dict[str, Any]]) -> list[float]:
        return native.score(self.model, customers)

    def unbatch(self, output: list[float]) -> list[list[float]]:
        return [[score] for score in output]


if __name__ == "__main__":
    api = Churn(max_batch_size=int(sys.argv[2]), batch_timeout=float(sys.argv[3]))
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
