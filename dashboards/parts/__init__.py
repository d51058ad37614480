"""Rows of dashboards that would make their page too long."""
