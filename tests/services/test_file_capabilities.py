"""The kernel starts the edge's program, which has a file capability, under the rights that its container has."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from support.recorder import manifest
from support.servers import require_tool
from support.tools import missing

pytestmark = pytest.mark.service


def rights(container: dict[str, Any]) -> list[str]:
    """Options of `setpriv` for the capabilities, the user and the escalation of a container."""
    context = container["securityContext"]
    assert context["capabilities"]["drop"] == ["ALL"]
    added = [f"+{name.lower()}" for name in context["capabilities"].get("add", [])]
    user = str(context["runAsUser"])
    escalation = [] if context["allowPrivilegeEscalation"] else ["--no-new-privs"]
    bounds = ",".join(["-all", *added])
    return [f"--reuid={user}", f"--regid={user}", "--clear-groups", f"--bounding-set={bounds}", *escalation]


def program(folder: Path) -> Path:
    """A program with the file capability of `/nginx-ingress` (nginx/kubernetes-ingress, `build/Dockerfile`)."""
    if os.geteuid() != 0:
        missing("only root can give a file a capability")
    path = folder / "program"
    shutil.copyfile("/bin/true", path)
    path.chmod(0o755)
    subprocess.run([require_tool("setcap"), "cap_net_bind_service=+ep", str(path)], check=True)
    return path


def starts(options: list[str], path: Path) -> bool:
    done = subprocess.run([require_tool("setpriv"), *options, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "Operation not permitted" in done.stderr, done.stderr
    return done.returncode == 0


def test_the_edges_program_starts_with_the_capability_and_not_without() -> None:
    spec = manifest("prod", "Deployment", "ingress")["spec"]["template"]["spec"]
    (container,), (before,) = spec["containers"], spec["initContainers"]
    with tempfile.TemporaryDirectory() as folder:  # other users cannot enter pytest's own folders
        Path(folder).chmod(0o755)
        path = program(Path(folder))
        assert starts(rights(container), path)
        assert not starts(rights(before), path), "the copying container has no capability"
