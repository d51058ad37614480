from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.bundles import random_customers
from support.servers import Api, Nginx, wait_until
from support.traffic import Traffic

pytestmark = pytest.mark.service

RATE = 100
CUSTOMERS = random_customers(100, seed=12)

# As an ingress would do it: kept connections to the upstream, and whatever one process cannot answer (it is gone, or
# says 503 because it is draining) goes to the other. A prediction changes nothing, so it may be sent twice.
CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream api {
    server 127.0.0.1:FIRST max_fails=1 fail_timeout=1s;
    server 127.0.0.1:SECOND max_fails=1 fail_timeout=1s;
    keepalive 32;
  }
  server {
    listen 127.0.0.1:{port};
    keepalive_requests 100000;
    location / {
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_next_upstream error timeout http_503 non_idempotent;
      proxy_connect_timeout 2s;
    }
  }
}
"""


@pytest.mark.parametrize("restarts", [4, pytest.param(20, marks=pytest.mark.long(seconds=50))])
def test_rolling_restarts_lose_no_request(restarts: int, bundles: list[Path], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model_source": bundles[0], "drain_seconds": 0.5}
    with Api(tmp_path / "first", **settings) as first, Api(tmp_path / "second", **settings) as second:
        configuration = CONFIGURATION.replace("FIRST", str(first.port)).replace("SECOND", str(second.port))
        with Nginx(tmp_path / "nginx", configuration) as nginx, Traffic(nginx.url, CUSTOMERS, rate=RATE) as traffic:
            for restart in range(restarts):
                api = (first, second)[restart % 2]
                before = traffic.answered
                assert api.stop() == 0, api.output[-4000:]
                api.start()
                served = api.model_metrics()
                assert served["churn_model_swaps_total"] == 1
                # nginx sends requests to it again once its second in disgrace is over.
                wait_until(lambda one=api: _predictions(one) > 0, "requests reach the restarted process")  # type: ignore[misc]  # mypy cannot type a lambda's default
                assert traffic.answered > before
    assert not traffic.outcome.failures
    assert traffic.outcome.not_sent == 0


def _predictions(api: Api) -> float:
    return sum(value for name, value in api.metrics().items() if name.startswith("churn_predictions_total"))
