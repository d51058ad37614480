"""What operators and the cluster's jobs run: the ``churn`` command, the stacks, jobs, backups, the local platform."""
