"""Defaults of a training run, which the help of ``churn train`` shows.

They are plain values, so that reading them loads no library, and stand here because the image of the jobs, whose command
is the same, has no `training`.
"""

from __future__ import annotations

from typing import Final

OFFER_COST: Final = 40.0
CUSTOMER_VALUE: Final = 600.0
RETAINED_SHARE: Final = 0.3
"""The cost model; `training.config.CostModel` explains the three."""
SEED: Final = 7
