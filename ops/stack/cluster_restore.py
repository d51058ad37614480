"""Restores into a running cluster: a job of a suspended CronJob of `infra/workloads/restore.py`, watched to its end.

Only `kubectl` is needed. What the job may do is in its template; this adds the options of one restore to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from ops.errors import OpsError
from ops.stack import kubectl

Part = Literal["databases", "artifacts", "logins"]
NAMESPACE: Final = "churn-mlops"
PROGRAM: Final = ["python", "-m", "ops.cli", "restore"]
"""The command of the container that restores, by which it is found among the steps of a pod."""
PAUSE_SECONDS: Final = 2.0
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """One restore; by default of the newest backup on the volume, into empty places."""

    part: Part
    backup: str | None = None
    source: str | None = None
    """s3://bucket[/prefix] instead of the volume."""
    as_of: str | None = None
    """Time at which the bucket is read, in UTC; now by default."""
    replace: bool = False
    accept_broken: bool = False
    context: str | None = None
    """Of kubectl; the current one by default."""

    def arguments(self) -> list[str]:
        """Return what is added to the command that restores; of an option that is there twice, the last one counts."""
        named = {"--backup": self.backup, "--from": self.source, "--as-of": self.as_of}
        flags = {"--replace": self.replace, "--accept-broken": self.accept_broken}
        values = [word for option, value in named.items() if value is not None for word in (option, value)]
        return values + [option for option, on in flags.items() if on]


def job(cron_job: dict[str, Any], options: Options, now: datetime) -> dict[str, Any]:
    """Return the job that a CronJob's template makes with these options.

    The CronJob owns it, as after `kubectl create job --from`, and takes it along when it is deleted: a pod that has
    ended would still hold the volumes that `pulumi destroy` waits for.

    Raises:
        OpsError: there are options, but no container that restores.
    """
    spec: dict[str, Any] = json.loads(json.dumps(cron_job["spec"]["jobTemplate"]["spec"]))
    pod = spec["template"]["spec"]
    restoring = [item for item in (*pod.get("initContainers", []), *pod["containers"]) if item["command"] == PROGRAM]
    if options.arguments() and not restoring:
        raise OpsError(f"{options.part} takes no options of a restore: it only resets passwords")
    for container in restoring:
        container["args"] = [*container["args"], *options.arguments()]
    template = cron_job["metadata"]["name"]
    metadata = {
        "name": f"{template}-{now:%Y%m%d-%H%M%S}",
        "namespace": NAMESPACE,
        "labels": spec["template"]["metadata"]["labels"],
        "ownerReferences": [
            {
                "apiVersion": cron_job["apiVersion"],
                "kind": cron_job["kind"],
                "name": template,
                "uid": cron_job["metadata"]["uid"],
                "controller": True,
            }
        ],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def restore(options: Options, say: Say) -> None:
    """Start the job, wait until it has ended, and repeat the logs of its steps.

    Raises:
        OpsError: the cluster does not answer or has no such template, or the restore failed.
    """
    kubectl.require()
    cluster = _Cluster(options.context)
    say(f"Restoring {options.part} in the cluster of the context {cluster.context()}")
    new = job(cluster.read("cronjob", f"restore-{options.part}"), options, datetime.now(UTC))
    name = new["metadata"]["name"]
    cluster.run("create", "-f", "-", stdin=json.dumps(new))
    say(f"Job {name}: kubectl -n {NAMESPACE} describe job {name} says what it is waiting for")
    done = _wait(cluster, name)
    steps = [item["name"] for key in ("initContainers", "containers") for item in _steps(new, key)]
    for step in steps:
        for line in cluster.log(name, step):
            say(f"{step}: {line}")
    if not done:
        raise OpsError(
            f"the job {name} failed: the last line above says why. If the data is there and only a login is missing, "
            "run: churn cluster restore logins"
        )
    say("Restored, and every login has the password of its secret" if options.part != "artifacts" else "Restored")


def _steps(new: dict[str, Any], key: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = new["spec"]["template"]["spec"].get(key, [])
    return steps


def _wait(cluster: _Cluster, name: str) -> bool:
    """Return whether the job completed; its own deadline ends it in any case."""
    while True:
        conditions = cluster.read("job", name).get("status", {}).get("conditions", [])
        true = {item["type"] for item in conditions if item["status"] == "True"}
        if true & {"Complete", "Failed"}:
            return "Complete" in true
        time.sleep(PAUSE_SECONDS)


@dataclass(frozen=True)
class _Cluster:
    """The namespace of the restores in one cluster."""

    _context: str | None

    def context(self) -> str:
        return self._context or self._call("config", "current-context").strip()

    def read(self, kind: str, name: str) -> dict[str, Any]:
        item: dict[str, Any] = json.loads(self.run("get", kind, name, "--output", "json"))
        return item

    def log(self, name: str, step: str) -> Iterator[str]:
        try:
            yield from self.run("logs", f"job/{name}", "--container", step).splitlines()
        except OpsError:
            return  # a step that never began has no log

    def run(self, *words: str, stdin: str | None = None) -> str:
        return self._call(*words, "--namespace", NAMESPACE, stdin=stdin)

    def _call(self, *words: str, stdin: str | None = None) -> str:
        context = [] if self._context is None else ["--context", self._context]
        try:
            return kubectl.call(*words, *context, stdin=stdin)
        except kubectl.CallError as error:
            raise OpsError(f"kubectl {words[0]}: {error}") from None
