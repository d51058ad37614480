"""NGINX's configuration, under the keys of the F5 NGINX Ingress Controller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from infra.workloads import ingress_internal
from infra.workloads.ingress_internal import Internal
from infra.workloads.ingress_problems import REQUEST_ID, http_snippets, server_snippets

LOG_FORMAT: Final = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
    f'"$http_user_agent" "$http_x_forwarded_for" {REQUEST_ID}'
)
"""NGINX's usual line, with the request's id at its end."""


def workers(cpu_limit: str) -> int:
    """Return the number of worker processes: one per CPU of the limit, where NGINX would count the node's CPUs."""
    cores = float(cpu_limit.removesuffix("m")) / (1000 if cpu_limit.endswith("m") else 1)
    return max(1, math.ceil(cores))


def config(
    cpu_limit: str,
    *,
    shutdown_seconds: int,
    max_bodies: Mapping[str, str],
    trusted_proxy_cidr: str | None = None,
    internal: Internal | None = None,
) -> dict[str, str]:
    """Return the data of the ConfigMap that the ingress controller reads NGINX's main configuration from.

    ``max_bodies`` are the limits that errors name, by workload. ``trusted_proxy_cidr`` is the network of a load
    balancer that writes clients' addresses into a header. ``internal`` are the hosts that not every client may use.
    """
    http, server = [http_snippets(max_bodies)], [server_snippets()]
    if internal is not None:
        http.append(ingress_internal.http_snippets(internal))
        server.append(ingress_internal.server_snippets())
    return {
        # Hosts without a route.
        "default-server-return": "404",
        "hsts": "true",
        "hsts-max-age": "31536000",
        # Unlike after 301, a POST stays a POST.
        "http-redirect-code": "308",
        "http-snippets": "\n".join(http),
        "keepalive": "32",
        "log-format": LOG_FORMAT,
        "proxy-connect-timeout": "5s",
        # Responses to slow clients are never buffered on disk.
        "proxy-max-temp-file-size": "0",
        "server-snippets": "\n".join(server),
        "server-tokens": "false",
        "ssl-ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
        "ssl-protocols": "TLSv1.2 TLSv1.3",
        "ssl-redirect": "true",
        "worker-connections": "4096",
        "worker-processes": str(workers(cpu_limit)),
        "worker-shutdown-timeout": f"{shutdown_seconds}s",
        **({} if trusted_proxy_cidr is None else _real_address(trusted_proxy_cidr)),
    }


def _real_address(proxy_cidr: str) -> dict[str, str]:
    """Take the client's address from a header if the connection comes from this network."""
    return {"set-real-ip-from": proxy_cidr, "real-ip-header": "X-Forwarded-For", "real-ip-recursive": "true"}
