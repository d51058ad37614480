"""Benchmarks of the API and its peers, on one machine in one run: ``make bench`` or ``python -m benchmarks --help``."""
