"""The churn API: one process that follows a registered model and answers predictions over HTTP."""

__version__ = "0.1.0"
"""Version of the whole project; the package's metadata is built from it, and an image has nothing else."""
