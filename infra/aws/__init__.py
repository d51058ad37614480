"""Everything around the cluster on AWS. Import it only when a stack is built: the SDK takes about a second."""
