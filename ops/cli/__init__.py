"""The ``churn`` command, a module for each group of commands. Each parses, calls, and prints."""
