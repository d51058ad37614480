"""One file for each workload, with all its objects."""
