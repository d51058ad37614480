"""The native model as a BentoML service: POST /predict {"customers": [...]}."""

from __future__ import annotations

from typing import Any

import bentoml  # type: ignore[import-not-found]  # installed in the peer's own environment

from benchmarks.serve import native


@bentoml.service(workers=1)
class Churn:
    def __init__(self) -> None:
        self.model = native.load()

    @bentoml.api  # type: ignore[untyped-decorator]  # see the import
    def predict(self, customers: list[dict[str, Any]]) -> list[float]:
        return native.score(self.model, customers)
