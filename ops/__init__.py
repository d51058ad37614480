"""What an operator runs: the ``churn`` command and the embedded platform."""
