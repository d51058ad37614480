"""nginx's configuration from Ingress objects: the annotations, ConfigMap keys and defaults that this project uses.

An unknown annotation or key is an error, so that nothing is silently ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from api_server import Json

PREFIX = "nginx.org/"
STATE = "/var/lib/nginx"


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
        # Temporary files go to a folder that the pod may write.
        *(
            f"{kind}_temp_path /var/cache/nginx/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ),
        "access_log off;",
        f"server_tokens {_on(take('server-tokens'))};",
        f"ssl_protocols {take('ssl-protocols')};",
        f"ssl_ciphers {take('ssl-ciphers')};",
        f"ssl_certificate {STATE}/tls.crt; ssl_certificate_key {STATE}/tls.key;",
        f"proxy_connect_timeout {take('proxy-connect-timeout')};",
        f"proxy_max_temp_file_size {take('proxy-max-temp-file-size')};",
        "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }",
        "server {",
        f"listen {seen.ports['http']} default_server; listen {seen.ports['https']} ssl default_server;",
        f"return {take('default-server-return')}; }}",
        "server { listen 127.0.0.1:8099; location /stub { stub_status; } }",
    ]
    shared = {key: take(key) for key in ("hsts", "hsts-max-age", "http-redirect-code", "keepalive", "ssl-redirect")}
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
        if shared["hsts"] == "true":
            yield f'add_header Strict-Transport-Security "max-age={shared["hsts-max-age"]}; includeSubDomains" always;'
        if shared["ssl-redirect"] == "true":
            yield f"if ($scheme = http) {{ return {shared['http-redirect-code']} https://$host$request_uri; }}"
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
    yield f"proxy_pass http://{upstream}; }}"
