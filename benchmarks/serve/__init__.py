"""The servers of the peers and baselines, each run as a program of its own, and most in an environment of its own."""
