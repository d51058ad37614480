"""The embedded platform: MLflow, the API and monitoring as processes of this machine."""
