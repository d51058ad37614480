"""Defaults of a training run that commands show in their help: plain values, so that reading them loads no library."""

from __future__ import annotations

from typing import Final

OFFER_COST: Final = 40.0
CUSTOMER_VALUE: Final = 600.0
RETAINED_SHARE: Final = 0.3
"""Of the cost model; :class:`training.config.CostModel` says what they mean."""
SEED: Final = 7
