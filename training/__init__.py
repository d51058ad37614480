"""Training: from customer data to an evaluated, exported and registered model, and the scoring of files."""
