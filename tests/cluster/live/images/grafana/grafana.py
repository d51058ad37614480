"""A stand-in for Grafana, for clusters that cannot pull its image: NOT Grafana.

Like Grafana it takes its settings from GF_* variables, in which `$__file{PATH}` stands for a file's content. It stores
users and annotations in PostgreSQL, sets the administrator's password only when it creates the user, reads dashboards
and the datasource from the provisioning files, rereads the dashboards every 10 s, and passes queries on to the
datasource. It has no pages.

    grafana server
    grafana cli admin reset-admin-password --password-from-stdin
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import yaml

REREAD_SECONDS = 10
TABLES = """
CREATE TABLE IF NOT EXISTS "user" (
  login text PRIMARY KEY, salt text NOT NULL, password text NOT NULL, updated timestamp NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS annotation (id serial PRIMARY KEY, text text NOT NULL);
"""


def setting(name: str) -> str:
    """A setting with its files; ``<name>__FILE`` means nothing here, as only `/run.sh` knows it."""
    return re.sub(r"\$__file\{(.*?)\}", lambda match: Path(match[1]).read_text().strip(), os.environ[name])


def connect() -> Any:
    host, _, port = setting("GF_DATABASE_HOST").partition(":")
    return psycopg2.connect(
        host=host,
        port=int(port or 5432),
        dbname=setting("GF_DATABASE_NAME"),
        user=setting("GF_DATABASE_USER"),
        password=setting("GF_DATABASE_PASSWORD"),
        sslmode=setting("GF_DATABASE_SSL_MODE"),
        connect_timeout=3,
    )


def query(sql: str, *values: object) -> list[tuple[Any, ...]]:
    connection = connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def hashed(password: str, salt: str) -> str:
    """A password as Grafana itself stores it (pkg/util/encoding.go, EncodePassword)."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 10_000, 50).hex()


def set_password(login: str, password: str) -> None:
    salt = secrets.token_hex(8)
    query(
        'INSERT INTO "user" VALUES (%s, %s, %s) '
        "ON CONFLICT (login) DO UPDATE SET salt = excluded.salt, password = excluded.password",
        login,
        salt,
        hashed(password, salt),
    )


def prepare() -> None:
    """Create the tables and the administrator, whose password stays that of the first start."""
    query(TABLES)
    admin = setting("GF_SECURITY_ADMIN_USER")
    if not query('SELECT 1 FROM "user" WHERE login = %s', admin):
        set_password(admin, setting("GF_SECURITY_ADMIN_PASSWORD"))


class Provisioned:
    """The files of the provisioning folder."""

    def __init__(self) -> None:
        self.folder = Path(setting("GF_PATHS_PROVISIONING"))
        self.dashboards: dict[str, Any] = {}
        [self.datasource] = self._read("datasources")["datasources"]

    def _read(self, kind: str) -> Any:
        [path] = sorted((self.folder / kind).glob("*.yaml"))
        return yaml.safe_load(path.read_text(encoding="utf-8"))

    def look(self) -> None:
        [provider] = self._read("dashboards")["providers"]
        files = sorted(Path(provider["options"]["path"]).glob("*.json"))
        dashboards = [json.loads(path.read_text(encoding="utf-8")) for path in files]
        self.dashboards = {dashboard["uid"]: dashboard for dashboard in dashboards}

    def keep_looking(self) -> None:
        while True:
            time.sleep(REREAD_SECONDS)
            self.look()


class Handler(BaseHTTPRequestHandler):
    provisioned: Provisioned
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Log nothing."""

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reply(self, status: int, body: Any) -> None:
        self.answer(status, json.dumps(body).encode())

    def logged_in(self) -> bool:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        login, _, password = base64.b64decode(value).decode().partition(":") if kind == "Basic" else ("", "", "")
        for salt, known in query('SELECT salt, password FROM "user" WHERE login = %s', login):
            if secrets.compare_digest(hashed(password, salt), known):
                return True
        return False

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/healthz":
            self.answer(200, b"Ok", "text/plain")
        elif path == "/metrics":
            self.answer(200, b'grafana_build_info{version="stand-in"} 1\n', "text/plain; version=0.0.4")
        elif path == "/api/health":
            try:
                query("SELECT 1")
                self.reply(200, {"database": "ok", "version": "stand-in"})
            except psycopg2.Error:
                self.reply(503, {"database": "failing", "version": "stand-in"})
        else:
            self.guarded(path, None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.guarded(urlsplit(self.path).path, body)

    def guarded(self, path: str, body: bytes | None) -> None:
        try:
            if not self.logged_in():
                self.reply(401, {"message": "Invalid username or password"})
                return
        except psycopg2.Error as error:
            self.reply(500, {"message": str(error)})
            return
        proxied = f"/api/datasources/proxy/uid/{self.provisioned.datasource['uid']}"
        if path.startswith(f"{proxied}/"):
            self.proxy(self.path.removeprefix(proxied))
        elif path == "/api/search":
            known = self.provisioned.dashboards.items()
            self.reply(200, [{"uid": uid, "title": dashboard["title"]} for uid, dashboard in known])
        elif path.startswith("/api/dashboards/uid/"):
            dashboard = self.provisioned.dashboards.get(path.rpartition("/")[2])
            self.reply(200 if dashboard else 404, {"dashboard": dashboard})
        elif path == "/api/annotations" and body is not None:
            query("INSERT INTO annotation (text) VALUES (%s)", json.loads(body)["text"])
            self.reply(200, {"message": "Annotation added"})
        elif path == "/api/annotations":
            self.reply(200, [{"id": key, "text": text} for key, text in query("SELECT id, text FROM annotation")])
        else:
            self.reply(404, {"message": "Not found"})

    def proxy(self, rest: str) -> None:
        try:
            with urllib.request.urlopen(  # noqa: S310 -- the address is the stack's own
                self.provisioned.datasource["url"] + rest, timeout=10
            ) as answer:
                self.answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.read())
        except OSError as error:
            self.reply(502, {"message": str(error)})


def serve() -> None:
    while True:
        try:
            prepare()
            break
        except psycopg2.OperationalError as error:
            sys.stderr.write(f"the database does not answer yet: {error}\n")
            time.sleep(1)
    Handler.provisioned = Provisioned()
    Handler.provisioned.look()
    threading.Thread(target=Handler.provisioned.keep_looking, daemon=True).start()
    server = ThreadingHTTPServer(("0.0.0.0", int(setting("GF_SERVER_HTTP_PORT"))), Handler)  # noqa: S104 -- in a pod
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


def main(arguments: list[str]) -> None:
    match arguments:
        case ["server", *_]:
            serve()
        case ["cli", "admin", "reset-admin-password", "--password-from-stdin"]:
            set_password(setting("GF_SECURITY_ADMIN_USER"), sys.stdin.readline().rstrip("\n"))
            sys.stdout.write("Admin password changed successfully\n")
        case _:
            raise SystemExit(f"the stand-in of Grafana does not know {arguments}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main(sys.argv[1:])
