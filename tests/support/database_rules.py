"""Whether clients of a database outside the cluster verify its certificate, by the recorded pods and secrets.

libpq and lib/pq check the name of the server only with `sslmode=verify-full`; with `require` anybody's certificate will
do (PostgreSQL documentation, "SSL Support", table 34.1). Grafana passes `ssl_mode` and `ca_cert_path` on as `sslmode`
and `sslrootcert` (grafana/grafana, `pkg/services/sqlstore/database_config.go`).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from support.aws_rules import of
from support.recorder import containers, objects, pod_templates

from ops.stack.recording import Recording

MODE: Final = re.compile(r"sslmode[= ](?P<mode>[a-z-]+)")
ROOT: Final = re.compile(r"sslrootcert=(?P<path>[^&\s]+)")
LOGIN: Final = re.compile(r"^postgres-(superuser|mlflow|grafana|backup|monitor)$")


def verified(recording: Recording) -> tuple[list[str], list[str]]:
    """One line per violation, and the containers that log in to a database outside the cluster."""
    certified = _certified(recording)
    clients, violations = [], []
    if not certified:
        return [], []
    for owner, template in pod_templates(recording):
        volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
        for container in containers(template):
            mounts = [mount for mount in container.get("volumeMounts", []) if LOGIN.match(mount["name"])]
            if not mounts:
                continue
            clients.append(f"{owner} {container['name']}")
            files = {
                f"{mount['mountPath']}/ca.pem" for mount in mounts if _class_of(volumes[mount["name"]]) in certified
            }
            violations += [f"{owner} {container['name']}: {line}" for line in _wrong(container, files)]
    return violations + _services(recording), clients


def _certified(recording: Recording) -> set[str]:
    """The secret classes that bring the certificates; each is named after its workload."""
    return {
        str(item.inputs["metadata"]["name"])
        for item in objects(recording, "SecretProviderClass")
        for described in json.loads(item.inputs["spec"]["parameters"]["objects"])
        if any(file["objectAlias"] == "ca.pem" for file in described["jmesPath"])
    }


def _class_of(volume: dict[str, Any]) -> str:
    return str(volume.get("csi", {}).get("volumeAttributes", {}).get("secretProviderClass"))


def _wrong(container: dict[str, Any], files: set[str]) -> list[str]:
    variables = {item["name"]: str(item.get("value", "")) for item in container.get("env", [])}
    words = [*variables.values(), *map(str, container.get("args", []))]
    text = " ".join(words)
    lines = [f"sslmode={match['mode']}" for match in MODE.finditer(text) if match["mode"] != "verify-full"]
    mode = variables.get("GF_DATABASE_SSL_MODE", "verify-full")
    lines += [] if mode == "verify-full" else [f"GF_DATABASE_SSL_MODE is {mode}"]
    roots = [variables.get("PGSSLROOTCERT"), variables.get("GF_DATABASE_CA_CERT_PATH")]
    roots += [match["path"] for match in ROOT.finditer(text)]
    return lines if set(roots) & files else [*lines, "no certificates"]


def _services(recording: Recording) -> list[str]:
    """The service files that do not ask for verification."""
    calls = [json.loads(item.inputs["input"]) for item in of(recording, "Invocation")]
    return [
        f"{arn}: {file}"
        for call in calls
        for arn, templates in call["secrets"].items()
        for file, text in templates.items()
        if file == "pg_service.conf" and "sslmode=verify-full" not in text.splitlines()
    ]
