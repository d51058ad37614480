"""The error that ends a benchmark."""

from __future__ import annotations


class BenchError(Exception):
    """The benchmark cannot continue; the message says why and what to do."""
