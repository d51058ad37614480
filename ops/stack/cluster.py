"""Brings the `dev` stack up on a local cluster, and removes it: ``churn cluster up`` and ``churn cluster down``.

Each step is a command that a person could type, printed before it runs: create a cluster if there is none, build the
images, load them, `pulumi up`, wait for the pods. The state of the stack and its passphrase stay in the project's home
folder.
"""

# ruff: noqa: S603, S607 - the commands are those that the user asked for, found on PATH
from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.errors import OpsError
from ops.local.home import Home
from ops.stack import doctor, image_build, rollouts

STACK: Final = "dev"
KIND: Final = "churn"
"""Name of the kind cluster that is created if no other can be reached."""
PASSPHRASE: Final = "pulumi-passphrase"  # noqa: S105 - the file's name
EDGE: Final = ("churn-ingress", "ingress")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user chose; an empty value is determined automatically."""

    tool: str = ""
    load: str = ""
    build: bool = True


def context() -> str | None:
    """Return the current context, if its cluster answers."""
    if shutil.which("kubectl") is None:
        raise OpsError("kubectl is not installed: it is needed to reach the cluster")
    named = _output(["kubectl", "config", "current-context"])
    if not named or _output(["kubectl", "get", "--raw", "/readyz", "--request-timeout=10s"]) != "ok":
        return None
    return named


def _output(words: list[str]) -> str | None:
    """Return what a command prints; None if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def require_context(say: Callable[[str], None]) -> str:
    """Return the context to deploy to: the current one, or that of a new kind cluster.

    Raises:
        OpsError: no cluster answers, and kind is not installed to create one.
    """
    current = context()
    if current is not None:
        say(f"Using the cluster of the current context, {current}")
        return current
    if shutil.which("kind") is None:
        raise OpsError(
            "no cluster answers at kubectl's current context, and kind is not installed to create one: "
            "start your cluster, or install kind (https://kind.sigs.k8s.io)"
        )
    image_build.run(["kind", "create", "cluster", "--name", KIND, "--wait", "120s"], say)
    return f"kind-{KIND}"


def pulumi_environment(home: Home) -> dict[str, str]:
    """Return Pulumi's environment with the place of its state and a passphrase, created once; set variables win."""
    state = home.root / "pulumi"
    state.mkdir(parents=True, exist_ok=True)
    environment = {"PULUMI_BACKEND_URL": f"{state.resolve().as_uri()}?metadata=skip"}
    if "PULUMI_CONFIG_PASSPHRASE_FILE" not in os.environ:
        path = home.root / PASSPHRASE
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
        environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(path.resolve())
    if "PULUMI_CONFIG_PASSPHRASE" in os.environ:
        environment.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
    return environment | dict(os.environ)


def _pulumi(root: Path, home: Home, say: Callable[[str], None], *words: str) -> None:
    if shutil.which("pulumi") is None:
        raise OpsError("pulumi is not installed: see https://www.pulumi.com/docs/install")
    say(f"$ pulumi {' '.join(words)}")
    done = subprocess.run(["pulumi", *words], cwd=root, env=pulumi_environment(home), check=False)
    if done.returncode:
        raise OpsError(f"pulumi {words[0]} failed with exit code {done.returncode}")


def outputs(root: Path, home: Home) -> dict[str, Any]:
    """Return what the stack exports, with secrets in plain text."""
    words = ["pulumi", "stack", "output", "--stack", STACK, "--show-secrets", "--json"]
    done = subprocess.run(words, cwd=root, env=pulumi_environment(home), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OpsError(f"pulumi stack output failed: {done.stderr.strip()}")
    exported: dict[str, Any] = json.loads(done.stdout)
    return exported


def up(root: Path, home: Home, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Bring everything up; returns what the stack exports.

    Raises:
        OpsError: a step failed. Earlier steps are not undone, and the command may be run again.
    """
    chosen = require_context(say)
    doctor.prepare(chosen, STACK, root, say)
    if options.build:
        builds = image_build.builds(STACK, root)
        loader = image_build.loader(chosen, options.load)
        tool = image_build.find_tool(options.tool)
        for build in builds:
            image_build.run(image_build.command(tool, build, root), say)
        if loader is not None:
            for build in builds:
                image_build.run([*loader, build.image], say)
    _pulumi(root, home, say, "stack", "select", "--create", STACK)
    _pulumi(root, home, say, "up", "--stack", STACK, "--yes")
    rollouts.wait(say, chosen)
    exported = outputs(root, home)
    certificate(home).write_text(exported["certificate"], encoding="utf-8")
    return exported


def certificate(home: Home) -> Path:
    """Return the file with the certificate to trust."""
    return home.root / "certificate.pem"


def down(root: Path, home: Home, say: Callable[[str], None], *, keep_cluster: bool) -> None:
    """Remove the stack, and the kind cluster that `up` created.

    Raises:
        OpsError: a step failed.
    """
    _pulumi(root, home, say, "destroy", "--stack", STACK, "--yes")
    has_cluster = shutil.which("kind") is not None and KIND in (_output(["kind", "get", "clusters"]) or "").split()
    if has_cluster and not keep_cluster:
        image_build.run(["kind", "delete", "cluster", "--name", KIND], say)


def instructions(exported: dict[str, Any], trusted: Path) -> list[str]:
    """Explain how to reach the stack and trust its certificate, with commands to paste."""
    namespace, service = EDGE
    host = str(exported["api_url"]).removeprefix("https://")
    return [
        f"Predictions  {exported['api_url']}/v1/predict",
        f"MLflow       {exported['mlflow_url']}   user admin",
        f"Grafana      {exported['grafana_url']}   user admin",
        "",
        "Passwords and the first API key: pulumi stack output --stack dev --show-secrets",
        f"The certificate to trust is {trusted}: import it into your browser, or give it to curl.",
        "If the cluster gives load balancers no address, forward a port:",
        f"  kubectl --namespace {namespace} port-forward service/{service} 8443:443",
        f"  curl --cacert {trusted} --connect-to {host}:443:127.0.0.1:8443 {exported['api_url']}/docs",
    ]
