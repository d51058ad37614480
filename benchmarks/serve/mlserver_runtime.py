"""The native model as an MLServer runtime: the V2 inference protocol, one input per column."""

from __future__ import annotations

from typing import Any

from mlserver import MLModel  # type: ignore[import-not-found]  # installed in the peer's own environment
from mlserver.codecs import NumpyCodec, PandasCodec  # type: ignore[import-not-found]  # see above
from mlserver.types import InferenceResponse  # type: ignore[import-not-found]  # see above

from benchmarks.serve import native


class Churn(MLModel):  # type: ignore[misc]  # see the import
    async def load(self) -> bool:
        self.model = native.load()
        return True

    async def predict(self, payload: Any) -> Any:
        # Not with `decode_args`: adaptive batching takes bound methods only.
        customers = self.decode_request(payload, default_codec=PandasCodec)
        scores = self.model.predict_proba(customers)[:, 1]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("scores", scores)])
