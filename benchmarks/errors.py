"""The one error of the benchmark: something it cannot go on without."""

from __future__ import annotations


class BenchError(Exception):
    """The benchmark cannot go on; the message says why and what to do."""
