"""Everything around the cluster on AWS. Import it only to build a stack: importing the SDK takes about a second."""
