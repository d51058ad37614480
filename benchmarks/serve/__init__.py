"""The servers of the peers and baselines, each a separate program, and most in a separate environment."""
