import math

import numpy as np
import pytest

from benchmarks.groups.overload import recovery
from benchmarks.load import Outcome


def after(latency_ms: dict[int, float], status: dict[int, int] | None = None, seconds: int = 6) -> Outcome:
    """Ten requests per second; latency and status by second, if not 1 ms and 200."""
    sent = np.arange(seconds * 10) / 10
    second = sent.astype(int)
    return Outcome(
        sent_s=sent,
        status=np.array([(status or {}).get(s, 200) for s in second]),
        latency_ms=np.array([latency_ms.get(s, 1.0) for s in second]),
        generator_busy=0,
    )


@pytest.mark.parametrize(
    ("latency_ms", "status", "expected"),
    [
        ({}, {}, 0),
        ({0: 50}, {}, 1),
        ({0: 50, 2: 11}, {}, 3),
        ({}, {1: 503}, 2),
        ({5: 50}, {}, math.inf),
    ],
)
def test_recovery_is_the_end_of_the_last_bad_second(
    latency_ms: dict[int, float], status: dict[int, int], expected: float
) -> None:
    assert recovery(after(latency_ms, status)) == expected
