"""A stand-in for the few questions that commands ask with kubectl, answered from the clusters of the kind stand-in."""

from __future__ import annotations

import sys

from support.shims.state import Json, fail, kubeconfig, note, options, stored

VALUED = ("--context", "--request-timeout", "--output", "--raw")


def main(words: list[str]) -> None:
    note(words)
    values, others = options(words, *VALUED)
    server = address(values.get("--context") or kubeconfig()["current-context"])
    with stored("clusters") as clusters:
        cluster: Json | None = next((c for c in clusters.values() if c["server"] == server and c["running"]), None)
    if cluster is None:
        fail(f"The connection to the server {server} was refused - did you specify the right host or port?")
    match others, values:
        case ["get"], {"--raw": "/readyz"}:
            sys.stdout.write("ok")
        case ["get"], {"--raw": path} if path in cluster["apis"]:
            sys.stdout.write("{}")
        case ["get", "namespace", "kube-system"], {"--output": "jsonpath={.metadata.uid}"}:
            sys.stdout.write(cluster["uid"])
        case ["get"], {"--raw": _}:
            fail("Error from server (NotFound): the server could not find the requested resource")
        case _:
            fail(f"error: the stand-in for kubectl does not know: {' '.join(words)}")


def address(context: str) -> str:
    """The server of a context."""
    config = kubeconfig()
    names = {item["name"]: item["context"]["cluster"] for item in config["contexts"]}
    if context not in names:
        fail(f'error: context "{context}" does not exist' if context else "error: current-context is not set")
    servers = {item["name"]: item["cluster"]["server"] for item in config["clusters"]}
    return str(servers[names[context]])
