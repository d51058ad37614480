"""The churn API: one process that follows a registered model and answers predictions over HTTP."""

__version__ = "0.1.0"
"""Of the whole project; the package's metadata is made from it, and an image has only this."""
