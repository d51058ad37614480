"""Backups: made, listed, verified, restored, and proven by drills."""
