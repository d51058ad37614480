"""The native model as an MLServer runtime: the V2 inference protocol, one input per column."""

from __future__ import annotations

import numpy as np
import pandas as pd
from mlserver import MLModel  # type: ignore[import-not-found]  # installed in the peer's own environment
from mlserver.codecs import decode_args  # type: ignore[import-not-found]  # see above

from benchmarks.serve import native


class Churn(MLModel):  # type: ignore[misc]  # see the import
    async def load(self) -> bool:
        self.model = native.load()
        return True

    @decode_args  # type: ignore[untyped-decorator]  # see the import
    async def predict(self, customers: pd.DataFrame) -> np.ndarray:
        probabilities: np.ndarray = self.model.predict_proba(customers)[:, 1]
        return probabilities
