"""Programs that the pods of the cluster run."""
