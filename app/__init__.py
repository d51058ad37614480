"""The churn API: one process that follows a registered model and answers predictions over HTTP."""
