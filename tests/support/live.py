"""A stack that runs on a real cluster, as its users and operators see it."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx
from support.engine.live import LiveCluster
from support.engine.operations import Outcome
from support.engine.project import Project
from support.kubectl import Json, Kubectl
from support.load import Load
from support.servers import DOMAIN, HOST, free_port, wait_until
from support.telco import EXAMPLE

from infra.naming import INGRESS, NAMESPACES, POSTGRES, PROMETHEUS, Workload
from ops.plain_http import NO_TLS
from ops.stack import rollouts

CLUSTER_WIDE: Final = (
    "clusterrole",
    "clusterrolebinding",
    "ingressclass",
    "validatingadmissionpolicy",
    "validatingadmissionpolicybinding",
)
"""Kinds of the platform that are in no namespace."""


@dataclass
class Live:
    """The stack after its first `up`."""

    project: Project[LiveCluster]
    kubectl: Kubectl
    folder: Path
    seconds: float = 0.0
    """How long the commands took that brought it up."""
    typed: list[str] = field(default_factory=list)
    """These commands, as the document has them."""
    figures: dict[str, Any] = field(default_factory=dict)
    """What the tests measured, printed at the end."""

    def close(self) -> None:
        """Close the client, if there was one."""
        if "client" in self.__dict__:
            self.client.close()

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """What the stack exports, secrets in the clear."""
        outputs: dict[str, Any] = json.loads(self.project.cli("stack", "output", "--show-secrets", "--json"))
        return outputs

    @cached_property
    def certificate(self) -> Path:
        """A file with the certificate that clients trust."""
        path = self.folder / "certificate.pem"
        path.write_text(self.outputs["certificate"])
        return path

    @cached_property
    def addresses(self) -> dict[str, str]:
        """By port name, where the edge answers on loopback: the node ports of its Service."""
        ports = self.object("service", INGRESS)["spec"]["ports"]
        return {port["name"]: f"{HOST}:{port['nodePort']}" for port in ports}

    @cached_property
    def client(self) -> httpx.Client:
        """A client that trusts the stack's certificate and nothing else."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(verify=context, timeout=30, trust_env=False)

    def ask(self, method: str, host: str, path: str, *, scheme: str = "https", **more: Any) -> httpx.Response:
        """Send a request to one of the stack's hosts, through the edge."""
        name = f"{host}.{DOMAIN}"
        url = f"{scheme}://{self.addresses[scheme]}{path}"
        headers = {"Host": name, **more.pop("headers", {})}
        extensions = {"sni_hostname": name}
        return self.client.request(method, url, headers=headers, extensions=extensions, **more)

    @property
    def key(self) -> dict[str, str]:
        """The header with the stack's first API key."""
        return {"X-API-Key": self.outputs["api_key"]}

    def predict(self) -> httpx.Response:
        """Ask for one prediction with the stack's key, through TLS."""
        return self.ask("POST", "api", "/v1/predict", json=dict(EXAMPLE), headers=self.key)

    def load(self, name: str, *, rate: int) -> Load:
        """A load of predictions at a constant rate, through TLS."""
        return Load(
            self.folder / f"load-{name}",
            url=f"https://api.{DOMAIN}/v1/predict",
            address=self.addresses["https"],
            certificate=self.certificate,
            headers={**self.key, "Content-Type": "application/json"},
            body=dict(EXAMPLE),
            rate=rate,
        )

    def object(self, kind: str, workload: Workload, name: str = "") -> Json:
        """One object of a workload."""
        arguments = ("get", kind, name or workload.name, "--namespace", workload.namespace, "--output", "json")
        (item,) = self.kubectl.run(*arguments).items()
        return item

    def pods(self, workload: Workload) -> list[Json]:
        """The pods of a workload, except those that finished or are being deleted."""
        selector = ",".join(f"{key}={value}" for key, value in workload.selector.items())
        arguments = ("get", "pods", "--namespace", workload.namespace, "--selector", selector, "--output", "json")
        pods = self.kubectl.run(*arguments).items()
        return [
            pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] in {"Pending", "Running"}
        ]

    def ready(self, workload: Workload) -> list[Json]:
        """The pods of a workload that are Ready."""
        return [pod for pod in self.pods(workload) if is_ready(pod)]

    def run(self, workload: Workload, *command: str, stdin: str | None = None) -> str:
        """Output of a command in a pod of a workload."""
        pod = self.ready(workload)[0]["metadata"]["name"]
        where = ["--namespace", workload.namespace, "--container", workload.name]
        return self.execute(pod, where, command, stdin)

    def sql(self, query: str, database: str = "mlflow") -> str:
        """What the database answers to a query, one row on each line."""
        return self.run(POSTGRES, "psql", "-U", "postgres", "-d", database, "-Atc", query).strip()

    def execute(self, pod: str, where: list[str], command: tuple[str, ...], stdin: str | None = None) -> str:
        """Output of a command in a container."""
        words = [self.kubectl.program, "exec", *(["-i"] if stdin is not None else []), pod, *where, "--", *command]
        return self.output(words, stdin)

    def output(self, words: list[str], stdin: str | None = None) -> str:
        """Output of a command that must succeed."""
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"{words}: {done.stderr or done.stdout}"
        return done.stdout

    @contextlib.contextmanager
    def forwarded(self, workload: Workload, port: str = "http", pod: Json | None = None) -> Iterator[str]:
        """Forward the port of a workload, or of this pod of it, to loopback as an operator does, and give its URL."""
        local = free_port()
        target = f"pod/{(pod or self.ready(workload)[0])['metadata']['name']}"
        words = ["port-forward", target, f"{local}:{workload.ports[port]}", "--namespace", workload.namespace]
        process = subprocess.Popen([self.kubectl.program, *words], stdout=subprocess.DEVNULL)
        try:
            url = f"http://{HOST}:{local}"
            wait_until(lambda: answers(url), f"{workload.name} answers through the forwarded port", 30)
            yield url
        finally:
            process.terminate()
            process.wait()

    def ask_prometheus(self, path: str, **parameters: str) -> Any:
        """The data that Prometheus' API answers with."""
        with self.forwarded(PROMETHEUS) as url:
            answer = httpx.get(f"{url}/api/v1/{path}", params=parameters, timeout=30, trust_env=False, verify=NO_TLS)
        return answer.raise_for_status().json()["data"]

    def metric(self, query: str, **parameters: str) -> float | None:
        """The first value that a query returns, or None."""
        result = self.ask_prometheus("query", query=query, **parameters)["result"]
        return float(result[0]["value"][1]) if result else None

    def up(self, **options: Any) -> Outcome:
        """Run `pulumi up` and then `churn cluster wait`, as the documents say; both must succeed."""
        outcome = self.apply(**options)
        rollouts.wait(print)
        return outcome

    def apply(self, **options: Any) -> Outcome:
        """Run `pulumi up` by itself, which must succeed."""
        outcome = self.project.run("up", **options)
        assert outcome.succeeded, f"{outcome.errors} {outcome.failure}\n{outcome.printed[-3000:]}"
        self.__dict__.pop("outputs", None)
        return outcome

    def everything(self) -> list[Json]:
        """All pods of the platform's namespaces."""
        return [pod for pod in self.kubectl.get("pods") if pod["metadata"]["namespace"] in NAMESPACES]


def is_ready(pod: Json) -> bool:
    """Whether a pod has the condition Ready."""
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def answers(url: str) -> bool:
    """Whether anything answers HTTP at a URL, with whatever status."""
    try:
        httpx.get(url, timeout=2, trust_env=False, verify=NO_TLS)
    except httpx.HTTPError:
        return False
    return True


def seconds_until(condition: Callable[[], object], what: str, within: float) -> float:
    """Wait until a condition holds; returns how long that took."""
    started = time.monotonic()
    wait_until(condition, what, within)
    return time.monotonic() - started
