"""A stand-in for `pulumi` with the one property that matters here: it believes its state, not the cluster.

An `up` creates what the state lacks and changes what differs from it, so it does nothing in a cluster that was emptied;
`destroy` deletes by name in the context that the state has; `refresh` takes out of the state what is gone. A pod whose
image the cluster does not have never starts, for which `up` waits in vain.

Like the real one, it needs a backend and a passphrase where nobody can be asked, and a stack that was created.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from support.shims.kind import in_full
from support.shims.kubectl import address
from support.shims.state import Json, fail, kubeconfig, note, read_yaml, stored

IMAGES = ("api", "mlflow", "ops", "training")
BACKEND = "PULUMI_BACKEND_URL"
PASSPHRASES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
OUTPUTS = {
    "api_url": "https://api.churn.localhost",
    "mlflow_url": "https://mlflow.churn.localhost",
    "grafana_url": "https://grafana.churn.localhost",
    "certificate": "-----BEGIN CERTIFICATE-----\n",
    "api_key": "local.secret",
}


def main(words: list[str]) -> None:
    note(words)
    with stored("pulumi") as state:
        check(state, words)
        match words:
            case ["stack", "select", "--create", stack]:
                state.setdefault("stack", stack)
            case ["up", "--stack", "dev", "--yes"]:
                up(state)
            case ["refresh", "--stack", "dev", "--yes", "--clear-pending-creates"]:
                if state.get("tag") and cluster(state["context"])["objects"] != state["tag"]:
                    state["tag"] = ""
            case ["destroy", "--stack", "dev", "--yes"]:
                if state.get("tag"):
                    change(state["context"], {})
                state["tag"] = ""
            case ["stack", "rm", "--stack", "dev", "--force", "--preserve-config", "--yes"]:
                state.clear()
            case ["stack", "output", "--stack", "dev", "--show-secrets", "--json"]:
                sys.stdout.write(json.dumps(OUTPUTS if state.get("tag") else {}))
            case _:
                fail(f"error: the stand-in for pulumi does not know: {' '.join(words)}", 255)


def check(state: Json, words: list[str]) -> None:
    """Refuse a call that lacks its environment or its stack."""
    missing = lacking(os.environ)
    if missing:
        fail(missing, 255)
    if "--stack" in words:
        stack = words[words.index("--stack") + 1]
        if state.get("stack") != stack:
            fail(f"error: no stack named '{stack}' found", 255)


def lacking(environment: Mapping[str, str]) -> str:
    """What Pulumi says where it lacks a place for its state or the passphrase of that (pulumi/pulumi 13293, 11886)."""
    if not environment.get(BACKEND):
        return "error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions"
    phrase, file = (environment.get(name) for name in PASSPHRASES)
    if phrase is None and not (file and Path(file).exists()):
        variables = " or ".join(PASSPHRASES)
        return f"error: getting secrets manager: passphrase must be set with {variables} environment variables"
    return ""


def up(state: Json) -> None:
    config = read_yaml(Path("Pulumi.dev.yaml"))["config"]
    context = config["churn:cluster"]["context"] or kubeconfig()["current-context"]
    images = config["churn:images"]
    here = cluster(context)
    if state.get("tag") == images["tag"]:
        sys.stdout.write("Resources: unchanged\n")
    else:
        with stored("images-docker") as shared:
            loaded = {*here["images"], *(shared if here.get("shares") else ())}
        missing = {in_full(f"{images['registry']}/{name}:{images['tag']}") for name in IMAGES} - loaded
        if missing:
            fail(f"error: 4 errors occurred: ErrImagePull: {', '.join(sorted(missing))}", 255)
        change(context, images["tag"])
        state["tag"] = images["tag"]
    state["context"] = context


def cluster(context: str) -> Json:
    """The cluster of a context, which must answer."""
    server = address(context)
    with stored("clusters") as clusters:
        entries = [dict(entry) for entry in clusters.values() if entry["server"] == server and entry["running"]]
    if not entries:
        fail("error: configured Kubernetes cluster is unreachable", 255)
    return entries[0]


def change(context: str, objects: object) -> None:
    """What a cluster has of the platform: the tag of its images, or nothing."""
    server = cluster(context)["server"]
    with stored("clusters") as clusters:
        next(entry for entry in clusters.values() if entry["server"] == server)["objects"] = objects
