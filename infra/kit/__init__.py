"""Pure functions for workloads: they return arguments of objects, and none of them creates a resource."""
