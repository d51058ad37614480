"""The four groups of figures, each measured alone: single predictions, batches, starts, overload."""
