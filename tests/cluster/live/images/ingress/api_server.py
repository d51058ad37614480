"""A client of the API server with the pod's service account."""

from __future__ import annotations

import json
import os
import ssl
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
Json = dict[str, Any]


class ApiServer:
    """Reads objects and writes the status of Ingresses, with the rights of the pod and no more."""

    def __init__(self) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        self._root = f"https://{host}:{port}"
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
        self._opener = urllib.request.build_opener(*handlers)

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        token = (ACCOUNT / "token").read_text()  # read each time, since it is renewed in place
        request = urllib.request.Request(  # noqa: S310 -- the API server's address
            self._root + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=10) as answer:
            content: Json = json.load(answer)
            return content

    def items(self, group: str, namespace: str, resource: str) -> list[Json]:
        items: list[Json] = self.call("GET", f"/{group}/namespaces/{namespace}/{resource}")["items"]
        return items

    def object(self, group: str, namespace: str, resource: str, name: str) -> Json:
        return self.call("GET", f"/{group}/namespaces/{namespace}/{resource}/{name}")
