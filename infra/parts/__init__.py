"""Small resources that several workloads have: secrets as files, service accounts, services, volumes."""
