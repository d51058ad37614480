"""A real nginx as the edge: configured by the stand-in of the controller, from the routes of the recorded stack."""

from __future__ import annotations

import copy
import http.client
import importlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from support.image_traits import FOLDER
from support.recorder import find, recorded
from support.servers import DOMAIN, HOST, Nginx, free_port, require_tool

from infra.naming import Workload
from infra.workloads.routes import ROUTES


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


def _rendered(
    folder: Path,
    https: int,
    addresses: Mapping[Workload, str],
    annotations: Mapping[Workload, Mapping[str, str]],
    locations: str,
) -> str:
    """The configuration that the stand-in of the controller writes, with its folders and ports on this machine."""
    sys.path.insert(0, str(FOLDER / "ingress"))
    conf: Any = importlib.import_module("nginx_conf")
    sys.path.pop(0)
    recording = recorded("dev")
    ingresses = []
    for route in ROUTES:
        ingress = copy.deepcopy(find(recording, "Ingress", route.workload.name, route.workload.namespace).inputs)
        changed = annotations.get(route.workload, {})
        ingress["metadata"]["annotations"] |= {f"nginx.org/{key}": value for key, value in changed.items()}
        ingresses.append(ingress)
    nowhere = f"{HOST}:{free_port()}"
    services = {(r.workload.namespace, r.workload.name, "http"): addresses.get(r.workload, nowhere) for r in ROUTES}
    config = find(recording, "ConfigMap", "ingress-config").inputs["data"]
    text: str = conf.render(conf.Seen(ingresses, services, config, {"http": "{port}", "https": https}))
    replacements = {
        conf.SECRETS: str(folder),
        conf.STATE: str(folder),
        "/var/cache/nginx": str(folder),
        "include /etc/nginx/mime.types;": "types { text/html html; }",
        "127.0.0.1:8099": f"{HOST}:{free_port()}",
        f"server_name api.{DOMAIN};": f"server_name api.{DOMAIN}; {locations}",
    }
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    # Started by root, it would serve as another user, who cannot enter pytest's folders.
    return f"user root;\n{text}" if os.geteuid() == 0 else text


@contextmanager
def running_edge(
    folder: Path,
    addresses: Mapping[Workload, str],
    *,
    annotations: Mapping[Workload, Mapping[str, str]] | None = None,
    locations: str = "",
) -> Iterator[Edge]:
    """Run the edge in front of these addresses; a workload without one cannot be reached.

    ``annotations`` replace those of a route, and ``locations`` are added to the API's host.
    """
    certificate(folder)
    https = free_port()
    with Nginx(folder, _rendered(folder, https, addresses, annotations or {}, locations)):
        edge = Edge(https)
        yield edge
        edge.client.close()
