"""Training and serving give the same score: the native model, loaded as skops, beside the answers over HTTP.

An exported graph computes in float32, as its input is. For customers as they occur the two agree to 1e-6. At the ends
of the schema (1,200 months, 10,000 a month) the logit leaves the range of any training data and is of the order of a
hundred, where float32 resolves 1e-5: a score in the middle could be off by a fourth of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from support.bundles import make_bundle, random_customers
from support.servers import Api

from app.schemas import FEATURE_NAMES, FEATURES, blank_total

pytestmark = pytest.mark.service

ROWS = 10_000
BATCH = 1000
