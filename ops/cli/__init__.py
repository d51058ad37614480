"""The ``churn`` command: one module for each noun. Each parses, calls, and prints."""
