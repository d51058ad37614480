"""Configuration of NGINX by the keys of the F5 NGINX Ingress Controller."""

from __future__ import annotations

import math


def workers(cpu_limit: str) -> int:
    """Worker processes: one for each CPU of the limit, where NGINX would count those of the node."""
    cores = float(cpu_limit.removesuffix("m")) / (1000 if cpu_limit.endswith("m") else 1)
    return max(1, math.ceil(cores))


def config(cpu_limit: str, *, shutdown_seconds: int, behind: str | None = None) -> dict[str, str]:
    """The ConfigMap that the ingress controller makes NGINX's main configuration from.

    ``behind`` is the network of a load balancer that writes clients' addresses into a header.
    """
    return {
        # Hosts without a route.
        "default-server-return": "404",
        "hsts": "true",
        "hsts-max-age": "31536000",
        # Unlike 301, a POST stays one.
        "http-redirect-code": "308",
        "keepalive": "32",
        "proxy-connect-timeout": "5s",
        # Answers are never put on disk for slow clients.
        "proxy-max-temp-file-size": "0",
        "server-tokens": "false",
        "ssl-ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
        "ssl-protocols": "TLSv1.2 TLSv1.3",
        "ssl-redirect": "true",
        "worker-connections": "4096",
        "worker-processes": str(workers(cpu_limit)),
        "worker-shutdown-timeout": f"{shutdown_seconds}s",
        **({} if behind is None else _believing(behind)),
    }


def _believing(network: str) -> dict[str, str]:
    """Takes the client's address from a header, if that comes from this network."""
    return {"set-real-ip-from": network, "real-ip-header": "X-Forwarded-For", "real-ip-recursive": "true"}
