"""Measures the API beside its peers, on one machine in one run: ``make bench`` or ``python -m benchmarks --help``."""
