"""Pure functions the workloads are made with: each gives the arguments of an object, none makes a resource."""
