"""One workload a file, with all its objects."""
