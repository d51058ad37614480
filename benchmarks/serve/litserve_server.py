"""The native model as a LitServe server: POST /predict {"customers": [...]}."""

from __future__ import annotations

import sys
from typing import Any

import litserve  # type: ignore[import-not-found]  # installed in the peer's own environment

from benchmarks.serve import native


class Churn(litserve.LitAPI):  # type: ignore[misc]  # see the import
    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        self.model = native.load()

    def predict(self, request: dict[str, Any]) -> list[float]:
        return native.score(self.model, request["customers"])


if __name__ == "__main__":
    server = litserve.LitServer(Churn(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
