"""Errors of the edge itself are problem documents: a real nginx with the snippets and routes of the recorded stack."""

from __future__ import annotations

import contextlib
import copy
import http.client
import importlib
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from support.image_traits import FOLDER
from support.listening import Listening, QuietHandler
from support.listening import http as server
from support.recorder import find, recorded
from support.servers import HOST, Nginx, free_port, require_tool

from app import errors
from infra.naming import API, GRAFANA, MLFLOW
from infra.workloads.ingress_problems import MEDIA_TYPE, OUTAGE_SECONDS, PROBLEMS, RATE_SECONDS
from infra.workloads.routes import ROUTES

pytestmark = pytest.mark.service

DOMAIN: Final = "churn.localhost"
READ_SECONDS: Final = 1
OWN_PROBLEM: Final = b'{"code": "no-model"}'


class Backend(QuietHandler):
    """The API, as far as the edge sees it."""

    def do_GET(self) -> None:
        if self.path == "/v1/slow":
            time.sleep(READ_SECONDS * 2)
        if self.path == "/v1/hang-up":
            self.close_connection = True
            return
        with contextlib.suppress(OSError):  # the edge did not wait
            self.reply(200)

    def do_POST(self) -> None:
        self.body()
        self.reply(503, OWN_PROBLEM, MEDIA_TYPE)


class Edge:
    """The running nginx, and a client that accepts its certificate."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.client = httpx.Client(verify=self.context, trust_env=False, timeout=30)

    def ask(self, host: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        headers = {"Host": f"{host}.{DOMAIN}", **more.pop("headers", {})}
        extensions = {"sni_hostname": f"{host}.{DOMAIN}"}
        url = f"https://{HOST}:{self.port}{path}"
        return self.client.request(method, url, headers=headers, extensions=extensions, **more)

    def announce(self, host: str, size: int) -> tuple[int, Any]:
        """Status and document of the answer to the head of a request that announces a body of this size."""
        connection = http.client.HTTPSConnection(HOST, self.port, context=self.context, timeout=30)
        connection.putrequest("PUT", "/v1/artifact", skip_host=True)
        connection.putheader("Host", f"{host}.{DOMAIN}")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        answer = connection.getresponse()
        document = json.loads(answer.read())
        connection.close()
        return answer.status, document


def certificate(folder: Path) -> None:
    """Write a certificate with a key of the kind that the edge's ciphers need."""
    kind = [
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=edge",
    ]
    where = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run([require_tool("openssl"), "req", *kind, *where], check=True, capture_output=True)


def rendered(folder: Path, backend: str, https: int) -> str:
    """The configuration that the stand-in of the controller writes, with its folders and ports on this machine."""
    sys.path.insert(0, str(FOLDER / "ingress"))
    conf: Any = importlib.import_module("nginx_conf")
    sys.path.pop(0)
    recording = recorded("dev")
    ingresses = []
    for route in ROUTES:
        ingress = copy.deepcopy(find(recording, "Ingress", route.workload.name, route.workload.namespace).inputs)
        annotations = ingress["metadata"]["annotations"]
        annotations["nginx.org/proxy-read-timeout"] = f"{READ_SECONDS}s"
        if route.workload is GRAFANA:
            annotations |= {"nginx.org/limit-req-rate": "1r/m", "nginx.org/limit-req-burst": "1"}
        ingresses.append(ingress)
    nowhere = f"{HOST}:{free_port()}"
    addresses = {API: backend, MLFLOW: backend, GRAFANA: nowhere}
    services = {(w.namespace, w.name, "http"): address for w, address in addresses.items()}
    config = find(recording, "ConfigMap", "ingress-config").inputs["data"]
    seen = conf.Seen(ingresses, services, config, {"http": "{port}", "https": https})
    every = " ".join(f"location = /say/{problem.status} {{ return {problem.status}; }}" for problem in PROBLEMS)
    replacements = {
        conf.SECRETS: str(folder),
        conf.STATE: str(folder),
        "/var/cache/nginx": str(folder),
        "include /etc/nginx/mime.types;": "types { text/html html; }",
        "127.0.0.1:8099": f"{HOST}:{free_port()}",
        f"server_name api.{DOMAIN};": f"server_name api.{DOMAIN}; {every}",
    }
    text: str = conf.render(seen)
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    # Started by root, it would serve as another user, who cannot enter pytest's folders.
    return f"user root;\n{text}" if os.geteuid() == 0 else text


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("edge")
    certificate(folder)
    https = free_port()
    with Listening(server(Backend)) as backend, Nginx(folder, rendered(folder, backend.address, https)):
        running = Edge(https)
        yield running
        running.client.close()


def check(answer: httpx.Response, status: int) -> None:
    """The answer has the documented shape."""
    (problem,) = (item for item in PROBLEMS if item.status == status)
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = errors.ProblemBody.model_validate_json(answer.content)
    assert (document.status, document.code, document.title) == (status, problem.code, problem.title)
    assert document.type == f"urn:churn:problem:{problem.code}"
    assert answer.headers["x-request-id"] == document.request_id
    assert answer.headers.get("retry-after") == (problem.retry_seconds and str(problem.retry_seconds))
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("status", [problem.status for problem in PROBLEMS])
def test_every_error_of_the_edge_is_a_problem_document(edge: Edge, status: int) -> None:
    check(edge.ask("api", f"/say/{status}"), status)


@pytest.mark.parametrize("path", ["/metrics", "/nothing.html"])
def test_a_path_without_a_route(edge: Edge, path: str) -> None:
    check(edge.ask("api", path), 404)


def test_a_body_that_is_too_large_is_told_its_limit(edge: Edge) -> None:
    answer = edge.ask("api", "/v1/predict", "POST", content=b"x" * (3 * 2**20))
    check(answer, 413)
    assert "2 MiB" in answer.json()["detail"]
    # Without a length in its head, the body is refused once too much of it has come.
    check(edge.ask("api", "/v1/predict", "POST", content=iter([b"x" * 2**20] * 3)), 413)


def test_an_artifact_that_is_too_large_is_told_where_to_read_on(edge: Edge) -> None:
    status, document = edge.announce("mlflow", 513 * 2**20)
    assert (status, document["code"]) == (413, "body-too-large")
    assert "512 MiB" in document["detail"]
    assert "docs/platform.md" in document["detail"]


def test_a_service_that_is_slow_gone_or_hangs_up(edge: Edge) -> None:
    check(edge.ask("api", "/v1/slow"), 504)
    check(edge.ask("api", "/v1/hang-up"), 502)


def test_a_client_that_asks_too_often_learns_when_to_come_back(edge: Edge) -> None:
    answers = [edge.ask("grafana", "/") for _ in range(4)]
    # The service is gone, so the requests that are let through fail in another way.
    check(answers[0], 502)
    check(answers[-1], 429)
    assert (answers[0].headers["retry-after"], answers[-1].headers["retry-after"]) == (
        str(OUTAGE_SECONDS),
        str(RATE_SECONDS),
    )


def test_an_answer_of_the_api_passes_unchanged(edge: Edge) -> None:
    answer = edge.ask("api", "/v1/predict", "POST", content=b"{}")
    assert (answer.status_code, answer.content) == (503, OWN_PROBLEM)


@pytest.mark.parametrize(
    ("sent", "own"), [("from-a.client_1", "from-a.client_1"), ('"}, {"status": 200', ""), ("x" * 65, ""), ("a b", "")]
)
def test_a_harmless_request_id_is_the_clients_own(edge: Edge, sent: str, own: str) -> None:
    answer = edge.ask("api", "/metrics", headers={"X-Request-ID": sent})
    check(answer, 404)
    assert answer.json()["request_id"] == own or (
        not own and re.fullmatch(r"[0-9a-f]{32}", answer.json()["request_id"])
    )


def test_codes_that_the_api_has_too_mean_the_same() -> None:
    known = {problem.code: problem for problem in errors.CATALOGUE}
    shared = [problem for problem in PROBLEMS if problem.code in known]
    assert shared
    for problem in shared:
        assert (problem.status, problem.title) == (known[problem.code].status, known[problem.code].title)
    assert errors.MEDIA_TYPE == MEDIA_TYPE
