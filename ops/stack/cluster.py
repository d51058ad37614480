"""The `dev` stack on a local cluster, from one command: what ``churn cluster up`` and ``churn cluster down`` do.

Each step is a command that a person could type, shown before it runs: a cluster where there is none, the images, their
way into the cluster, `pulumi up`. The state of the stack and its passphrase stay in the project's home folder.
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
from ops.stack import image_build

STACK: Final = "dev"
KIND: Final = "churn"
"""Name of the kind cluster that is made where no other is in reach."""
PASSPHRASE: Final = "pulumi-passphrase"  # noqa: S105 - the file's name
EDGE: Final = ("churn-ingress", "ingress")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user chose; empty means that it is found out."""

    tool: str = ""
    load: str = ""
    build: bool = True


def context() -> str | None:
    """The current context, if its cluster answers."""
    if shutil.which("kubectl") is None:
        raise OpsError("kubectl is not installed: it is needed to reach the cluster")
    named = _output(["kubectl", "config", "current-context"])
    if not named or _output(["kubectl", "get", "--raw", "/readyz", "--request-timeout=10s"]) != "ok":
        return None
    return named


def _output(words: list[str]) -> str | None:
    """What a command prints; None where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def require_context(say: Callable[[str], None]) -> str:
    """The context to deploy to: the current one, or a new kind cluster.

    Raises:
        OpsError: no cluster answers, and kind is not there to make one.
    """
    found = context()
    if found is not None:
        say(f"The cluster is that of the current context, {found}")
        return found
    if shutil.which("kind") is None:
        raise OpsError(
            "no cluster answers at the current context of kubectl, and kind is not installed to make one: "
            "start your cluster, or install kind (https://kind.sigs.k8s.io)"
        )
    image_build.run(["kind", "create", "cluster", "--name", KIND, "--wait", "120s"], say)
    return f"kind-{KIND}"


def pulumi_environment(home: Home) -> dict[str, str]:
    """Where Pulumi keeps the stack's state, and the passphrase of its secrets, made once; what is set already stays."""
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
    """What the stack exports, secrets in the clear."""
    words = ["pulumi", "stack", "output", "--stack", STACK, "--show-secrets", "--json"]
    done = subprocess.run(words, cwd=root, env=pulumi_environment(home), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OpsError(f"pulumi stack output failed: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def up(root: Path, home: Home, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Bring everything up, and give what the stack exports.

    Raises:
        OpsError: a step failed; what the steps before it made stays, and the command may be given again.
    """
    chosen = require_context(say)
    if options.build:
        wanted = image_build.builds(STACK, root)
        loader = image_build.loader(chosen, options.load)
        tool = image_build.find_tool(options.tool)
        for build in wanted:
            image_build.run(image_build.command(tool, build, root), say)
        if loader is not None:
            for build in wanted:
                image_build.run([*loader, build.image], say)
    _pulumi(root, home, say, "stack", "select", "--create", STACK)
    _pulumi(root, home, say, "up", "--stack", STACK, "--yes")
    found = outputs(root, home)
    certificate(home).write_text(found["certificate"], encoding="utf-8")
    return found


def certificate(home: Home) -> Path:
    """The file with the certificate to trust."""
    return home.root / "certificate.pem"


def down(root: Path, home: Home, say: Callable[[str], None], *, keep_cluster: bool) -> None:
    """Remove the stack, and the kind cluster that `up` made.

    Raises:
        OpsError: a step failed.
    """
    _pulumi(root, home, say, "destroy", "--stack", STACK, "--yes")
    made = shutil.which("kind") is not None and KIND in (_output(["kind", "get", "clusters"]) or "").split()
    if made and not keep_cluster:
        image_build.run(["kind", "delete", "cluster", "--name", KIND], say)


def instructions(found: dict[str, Any], trusted: Path) -> list[str]:
    """How to reach the stack and to trust its certificate, to be pasted."""
    namespace, service = EDGE
    host = str(found["api_url"]).removeprefix("https://")
    return [
        f"Predictions  {found['api_url']}/v1/predict",
        f"MLflow       {found['mlflow_url']}   user admin",
        f"Grafana      {found['grafana_url']}   user admin",
        "",
        "Passwords and the first API key: pulumi stack output --stack dev --show-secrets",
        f"The certificate to trust is {trusted}: import it into your browser, or give it to curl.",
        "Where the cluster gives load balancers no address, forward a port:",
        f"  kubectl --namespace {namespace} port-forward service/{service} 8443:443",
        f"  curl --cacert {trusted} --connect-to {host}:443:127.0.0.1:8443 {found['api_url']}/docs",
    ]
