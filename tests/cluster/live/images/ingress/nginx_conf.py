"""nginx's configuration from Ingress objects: the annotations, ConfigMap keys and defaults that this project uses.

An unknown annotation or key is an error, so that nothing is silently ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from api_server import Json

PREFIX = "nginx.org/"
STATE = "/var/lib/nginx"
SECRETS = "/etc/nginx/secrets"
"""Where the original writes certificates, too; only the pod's volume makes it writable."""


@dataclass(frozen=True)
class Seen:
    """Everything from which the configuration is rendered."""

    ingresses: list[Json]
    services: Mapping[tuple[str, str, str], str]
    """Address and port of each service, by namespace, name and port name."""
    config: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=lambda: {"http": 80, "https": 443})


def render(seen: Seen) -> str:
    """The whole nginx.conf."""
    config = dict(seen.config)
    take = config.pop
    lines = [
        "daemon off;",
        f"worker_processes {take('worker-processes')};",
        f"worker_shutdown_timeout {take('worker-shutdown-timeout')};",
        f"pid {STATE}/nginx.pid;",
        "error_log stderr notice;",
        f"events {{ worker_connections {take('worker-connections')}; }}",
        "http {",
        "include /etc/nginx/mime.types; default_type application/octet-stream;",
        # The original's own root, which does not exist: a path without a route is nothing, not Debian's welcome page.
        "root /etc/nginx/html;",
        take("http-snippets"),
        f"log_format main '{take('log-format')}';",
        # Temporary files go to a folder that the pod may write.
        *(
            f"{kind}_temp_path /var/cache/nginx/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ),
        "access_log off;",
        f"server_tokens {_on(take('server-tokens'))};",
        f"ssl_protocols {take('ssl-protocols')};",
        f"ssl_ciphers {take('ssl-ciphers')};",
        f"ssl_certificate {SECRETS}/tls.crt; ssl_certificate_key {SECRETS}/tls.key;",
        f"proxy_connect_timeout {take('proxy-connect-timeout')};",
        f"proxy_max_temp_file_size {take('proxy-max-temp-file-size')};",
        "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }",
        "server {",
        'set $resource_name "";',
        f"listen {seen.ports['http']} default_server; listen {seen.ports['https']} ssl default_server;",
        f"return {take('default-server-return')}; }}",
        "server { listen 127.0.0.1:8099; location /stub { stub_status; } }",
    ]
    known = ("hsts", "hsts-max-age", "http-redirect-code", "keepalive", "server-snippets", "ssl-redirect")
    shared = {key: take(key) for key in known}
    if config:
        raise ValueError(f"the stand-in does not know these keys of the ConfigMap: {sorted(config)}")
    for ingress in seen.ingresses:
        lines += _routes(ingress, seen, shared)
    return "\n".join([*lines, "}", ""])


def _on(flag: str) -> str:
    return "on" if flag == "true" else "off"


def _annotations(ingress: Json) -> dict[str, str]:
    annotations = ingress["metadata"].get("annotations", {})
    return {key.removeprefix(PREFIX): value for key, value in annotations.items() if key.startswith(PREFIX)}


def _routes(ingress: Json, seen: Seen, shared: Mapping[str, str]) -> Iterator[str]:
    metadata = ingress["metadata"]
    name = f"{metadata['namespace']}-{metadata['name']}"
    annotations = _annotations(ingress)
    rate = annotations.pop("limit-req-rate")
    yield f"limit_req_zone $binary_remote_addr zone={name}:10m rate={rate};"
    for rule in ingress["spec"]["rules"]:
        paths = rule["http"]["paths"]
        for number, path in enumerate(paths):
            yield from _upstream(f"{name}-{number}", metadata["namespace"], path["backend"]["service"], seen, shared)
        yield "server {"
        yield f"listen {seen.ports['http']}; listen {seen.ports['https']} ssl; server_name {rule['host']};"
        yield f'set $resource_name "{metadata["name"]}";'
        if shared["hsts"] == "true":
            yield 'set $hsts_header_val ""; proxy_hide_header Strict-Transport-Security;'
            yield f'if ($https = on) {{ set $hsts_header_val "max-age={shared["hsts-max-age"]}; preload"; }}'
            yield 'add_header Strict-Transport-Security "$hsts_header_val" always;'
        if shared["ssl-redirect"] == "true":
            # With the port on which it listens, as the original does.
            target = f"https://$host:{seen.ports['https']}$request_uri"
            yield f"if ($scheme = http) {{ return {shared['http-redirect-code']} {target}; }}"
        yield shared["server-snippets"]
        for number, path in enumerate(paths):
            yield from _location(f"{name}-{number}", name, path, dict(annotations))
        yield "}"


def _upstream(upstream: str, namespace: str, service: Json, seen: Seen, shared: Mapping[str, str]) -> Iterator[str]:
    address = seen.services[namespace, service["name"], service["port"]["name"]]
    yield f"upstream {upstream} {{ zone {upstream} 256k; server {address}; keepalive {shared['keepalive']}; }}"


def _location(upstream: str, zone: str, path: Json, annotations: dict[str, str]) -> Iterator[str]:
    sign = "= " if path["pathType"] == "Exact" else ""
    take = annotations.pop
    if take("use-cluster-ip") != "true":
        raise ValueError("the stand-in routes to Services only, not to pods")
    delay = " nodelay" if take("limit-req-no-delay") == "true" else ""
    yield f"location {sign}{path['path']} {{"
    yield f"limit_req zone={zone} burst={take('limit-req-burst')}{delay};"
    yield f"limit_req_status {take('limit-req-reject-code')}; limit_req_log_level {take('limit-req-log-level')};"
    yield f"client_max_body_size {take('client-max-body-size')};"
    yield f"proxy_read_timeout {take('proxy-read-timeout')}; proxy_send_timeout {take('proxy-send-timeout')};"
    websockets = path["backend"]["service"]["name"] in take("websocket-services", "").split(",")
    if annotations:
        raise ValueError(f"the stand-in does not know these annotations: {sorted(annotations)}")
    yield "proxy_http_version 1.1;"
    if websockets:
        yield "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"
    else:
        yield 'proxy_set_header Connection "";'
    for header, value in {
        "Host": "$host",
        "X-Real-IP": "$remote_addr",
        "X-Forwarded-For": "$proxy_add_x_forwarded_for",
        "X-Forwarded-Host": "$host",
        "X-Forwarded-Port": "$server_port",
        "X-Forwarded-Proto": "$scheme",
    }.items():
        yield f"proxy_set_header {header} {value};"
    yield "proxy_next_upstream error timeout;"
    yield f"proxy_pass http://{upstream}; }}"
