"""Internal hosts on a real nginx: a client outside gets nothing there, however it came and whatever it sends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from support.servers import HOST, Nginx

from infra.workloads.ingress_internal import Internal, http_snippets, server_snippets

pytestmark = pytest.mark.service

INTERNAL: Final = Internal(hosts=("mlflow.churn.test", "grafana.churn.test"), cidrs=("10.30.0.0/16", "10.99.1.0/24"))
CONFIGURATION: Final = """
daemon off;
pid {folder}/pid;
events {}
http {
  access_log off;
  # Behind an ALB as `ingress_nginx.py` writes it, with this machine as the network of the balancer.
  set_real_ip_from 127.0.0.1;
  set_real_ip_from 10.30.0.0/16;
  real_ip_header X-Forwarded-For;
  real_ip_recursive on;
  HTTP
  server { listen 127.0.0.1:{port} default_server; server_name api.churn.test; SERVER location / { return 200; } }
  server { listen 127.0.0.1:{port}; server_name mlflow.churn.test; SERVER location / { return 200; } }
  server { listen 127.0.0.1:{port}; server_name grafana.churn.test; SERVER location / { return 200; } }
}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    text = CONFIGURATION.replace("HTTP\n", f"{http_snippets(INTERNAL)}\n").replace("SERVER", server_snippets())
    folder: Path = tmp_path_factory.mktemp("internal")
    # Started by root, it would serve as another user, who cannot enter pytest's folders.
    with Nginx(folder, f"user root;\n{text}" if os.geteuid() == 0 else text) as running:
        yield running


def status(nginx: Nginx, host: str, forwarded: str, path: str = "/") -> int:
    headers = {"Host": f"{host}.churn.test", "X-Forwarded-For": forwarded}
    return httpx.get(f"http://{HOST}:{nginx.port}{path}", headers=headers, trust_env=False).status_code


@pytest.mark.parametrize("host", ["mlflow", "grafana"])
@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("10.30.4.5", 200),
        ("10.99.1.7", 200),
        ("198.51.100.7", 404),
        ("10.98.0.1", 404),
        # A client outside writes an address of the inside, to which the balancer adds the real one.
        ("10.30.4.5, 198.51.100.7", 404),
        ("10.99.1.7, 198.51.100.7", 404),
    ],
)
def test_an_internal_host_is_for_clients_inside(nginx: Nginx, host: str, forwarded: str, expected: int) -> None:
    assert status(nginx, host, forwarded) == expected
    assert status(nginx, host, forwarded, "/api/2.0/mlflow/experiments/search") == expected


@pytest.mark.parametrize("forwarded", ["10.30.4.5", "198.51.100.7"])
def test_the_api_is_for_everybody(nginx: Nginx, forwarded: str) -> None:
    assert status(nginx, "api", forwarded) == 200
