"""Small resources that several workloads share: secrets as files, service accounts, services, volumes."""
