"""Defaults of a training run, which the help of ``churn train`` shows.

They are plain values, so that reading them loads no library. They are in `app` because the image of the cluster's jobs
has the same command, but not `training`.
"""

from __future__ import annotations

from typing import Final

OFFER_COST: Final = 40.0
CUSTOMER_VALUE: Final = 600.0
RETAINED_SHARE: Final = 0.3
"""The cost model; `training.config.CostModel` explains the three."""
SEED: Final = 7
