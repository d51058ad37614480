"""A stand-in for the F5 NGINX Ingress Controller, where its image cannot be pulled: a real nginx, fed by Ingresses.

It accepts the controller's flags that this project uses and refuses all others, reads the API server with the pod's own
rights, writes nginx's configuration, reloads nginx when something changed, and writes its address to the status of each
Ingress. It lacks custom resources, snippets in annotations, a webhook, leader election, and metrics beyond connections.
"""

from __future__ import annotations

import argparse
import base64
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from api_server import ApiServer, Json
from nginx_conf import SECRETS, Seen, render

NETWORKING = "apis/networking.k8s.io/v1"
LOOK_SECONDS = 0.5
CONF = Path("/etc/nginx/nginx.conf")


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("nginx-configmaps", "wildcard-tls-secret", "default-server-tls-secret", "ingress-class",
                 "watch-namespace", "watch-secret-namespace", "external-service", "leader-election-lock-name",
                 "ready-status-port", "prometheus-metrics-listen-port", "log-format"):  # fmt: skip
        parser.add_argument(f"-{name}", required=True)
    for name in ("enable-custom-resources", "enable-snippets", "enable-telemetry-reporting", "nginx-status"):
        parser.add_argument(f"-{name}", choices=["false"], required=True)
    for name in ("report-ingress-status", "enable-leader-election", "ready-status", "enable-prometheus-metrics",
                 "disable-ipv6"):  # fmt: skip
        parser.add_argument(f"-{name}", choices=["true"], required=True)
    return parser.parse_args(arguments)


class Controller:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.api = ApiServer()
        self.nginx: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.stopping = False
        self.reloaded = False
        self._last = ""
        self._reported: set[str] = set()

    def see(self) -> Seen:
        namespace, _, name = self.options.nginx_configmaps.partition("/")
        ingresses: list[Json] = []
        services: dict[tuple[str, str, str], str] = {}
        for watched in self.options.watch_namespace.split(","):
            items = self.api.items(NETWORKING, watched, "ingresses")
            ingresses += [item for item in items if item["spec"].get("ingressClassName") == self.options.ingress_class]
            for item in self.api.items("api/v1", watched, "services"):
                for port in item["spec"]["ports"]:
                    place = (watched, item["metadata"]["name"], port.get("name", ""))
                    services[place] = f"{item['spec']['clusterIP']}:{port['port']}"
        config = self.api.object("api/v1", namespace, "configmaps", name)["data"]
        in_order = sorted(ingresses, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))
        return Seen(in_order, services, config)

    def certificate(self) -> str:
        namespace, _, name = self.options.wildcard_tls_secret.partition("/")
        data = self.api.object("api/v1", namespace, "secrets", name)["data"]
        for file in ("tls.crt", "tls.key"):
            path = Path(SECRETS) / file
            path.touch(mode=0o600)
            path.write_bytes(base64.b64decode(data[file]))
        return str(data["tls.crt"])

    def look(self) -> None:
        """Configure nginx from the objects that the API server has now."""
        seen = self.see()
        text = render(seen)
        key = text + self.certificate()
        if key != self._last:
            CONF.write_text(text)
            self.reloaded = False
            subprocess.run(["/usr/sbin/nginx", "-t", "-q", "-c", str(CONF)], check=True)
            self.reloaded = True
            if self.nginx is None:
                self.nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", str(CONF)])
            else:
                self.nginx.send_signal(signal.SIGHUP)
            self._last = key
        self.report(seen)
        self.ready = True

    def report(self, seen: Seen) -> None:
        """Write the address of the controller's own Service to each Ingress that lacks it."""
        namespace = os.environ["POD_NAMESPACE"]
        service = self.api.object("api/v1", namespace, "services", self.options.external_service)
        addresses = service["status"].get("loadBalancer", {}).get("ingress") or []
        expected = [{"ip": item["ip"]} for item in addresses if "ip" in item]
        for ingress in seen.ingresses:
            shown = ingress["status"].get("loadBalancer", {}).get("ingress") or []
            if [{"ip": item.get("ip")} for item in shown] != expected:
                metadata = ingress["metadata"]
                path = f"/{NETWORKING}/namespaces/{metadata['namespace']}/ingresses/{metadata['name']}/status"
                self.api.call("PUT", path, ingress | {"status": {"loadBalancer": {"ingress": expected}}})

    def run(self) -> None:
        while not self.stopping:
            try:
                self.look()
            except (OSError, KeyError, ValueError, subprocess.CalledProcessError) as error:
                # nginx continues with its last configuration.
                sys.stderr.write(f"cannot follow the API server: {error!r}\n")
            time.sleep(LOOK_SECONDS)
        if self.nginx is not None:
            self.nginx.send_signal(signal.SIGQUIT)
            self.nginx.wait()

    def stop(self, *_: object) -> None:
        self.stopping = True


def serve(port: int, path: str, answer: object) -> None:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Log nothing."""

        def do_GET(self) -> None:
            status, body = answer() if self.path == path else (404, b"")  # type: ignore[operator]
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104 -- in a pod
    threading.Thread(target=server.serve_forever, daemon=True).start()


def metrics(controller: Controller) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8099/stub", timeout=2) as answer:
            active = answer.readline().split()[-1].decode()
    except (urllib.error.URLError, OSError):
        return 200, b"nginx_ingress_nginx_up 0\n"
    # As the original: the class, and 0 once NGINX refused a configuration (`nginx -t`).
    reload = f'nginx_ingress_controller_nginx_last_reload_status{{class="nginx"}} {int(controller.reloaded)}\n'
    return 200, f"nginx_ingress_nginx_up 1\nnginx_ingress_nginx_connections_active {active}\n{reload}".encode()


def main() -> None:
    chosen = options(sys.argv[1:])
    controller = Controller(chosen)
    signal.signal(signal.SIGTERM, controller.stop)
    serve(int(chosen.ready_status_port), "/nginx-ready", lambda: (200 if controller.ready else 503, b""))
    serve(int(chosen.prometheus_metrics_listen_port), "/metrics", lambda: metrics(controller))
    controller.run()


if __name__ == "__main__":
    main()
