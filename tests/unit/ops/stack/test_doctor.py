"""`churn doctor` says in one line each what `up` would stumble over, and what to do; errors stop `cluster up`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support import cluster_facts as facts_of
from support.recorder import recorded
from support.scripts import Scripted
from typer.testing import CliRunner

from ops.cli import main as cli
from ops.errors import ExitCode, OpsError
from ops.stack import doctor, metrics_server
from ops.stack.checkout import ROOT
from ops.stack.demand import Demand, Room, demand
from ops.stack.doctor_checks import CHECKS, Facts, Finding, Level

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR
Json = dict[str, Any]


@cache
def asked_by_dev() -> Demand:
    """What the stack requests on one node."""
    return demand(recorded("dev").manifests())


def facts(objects: list[Json], *, context: str = "kind-churn", busy: tuple[int, ...] = ()) -> Facts:
    by_kind: dict[str, list[Json]] = {}
    for item in objects:
        by_kind.setdefault(item["kind"], []).append(item)
    return Facts(context=context, machine="amd64", busy_ports=busy, objects=by_kind)


def findings(known: Facts) -> dict[str, Finding]:
    asked = asked_by_dev()
    return {finding.check: finding for finding in (check(known, asked) for check in CHECKS)}


def levels(known: Facts) -> dict[str, Level]:
    return {check: finding.level for check, finding in findings(known).items() if finding.level != OK}


def without(kind: str) -> list[Json]:
    return [item for item in facts_of.new_kind_cluster() if item["kind"] != kind]


def test_a_new_kind_cluster_on_two_cpus_lacks_only_metrics_and_room_to_grow() -> None:
    assert levels(facts(facts_of.new_kind_cluster())) == {"storage": WARNING, "metrics": WARNING}


def test_a_complete_cluster_has_no_findings() -> None:
    objects = [*without("StorageClass"), facts_of.storage_class(grows=True), facts_of.metrics_api()]
    assert levels(facts(objects)) == {}
    assert all(not finding.remedy for finding in findings(facts(objects)).values())


TAINTED = {**facts_of.node(), "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
CORDONED = {**facts_of.node(), "spec": {"unschedulable": True}}
ARM = facts_of.node(nodeInfo={"architecture": "arm64", "kubeletVersion": "v1.34.0"})
RISC = facts_of.node(nodeInfo={"architecture": "riscv64", "kubeletVersion": "v1.34.0"})
K3S = facts_of.node(nodeInfo={"architecture": "amd64", "kubeletVersion": "v1.34.1+k3s1"})
UNREADY = facts_of.node(conditions=[{"type": "Ready", "status": "False"}])
TRAEFIK = {
    "kind": "Service",
    "metadata": {"name": "traefik", "namespace": "kube-system"},
    "spec": {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 443}]},
}
FLANNEL = {**facts_of.kindnet(), "metadata": {"name": "kube-flannel", "namespace": "kube-flannel"}}


@pytest.mark.parametrize(
    ("kind", "objects", "check", "level", "text", "remedy"),
    [
        ("Node", [], "nodes", ERROR, "none of 0 nodes", "start the cluster"),
        ("Node", [TAINTED], "nodes", ERROR, "none of 1 nodes", "remove the taint"),
        ("Node", [CORDONED], "nodes", ERROR, "none of 1 nodes", "uncordon"),
        ("Node", [UNREADY], "nodes", ERROR, "none of 1 nodes", "describe nodes"),
        ("Node", [ARM], "architecture", WARNING, "arm64", "--platform linux/arm64"),
        ("Node", [RISC], "architecture", ERROR, "riscv64", "amd64 or arm64"),
        ("StorageClass", [], "storage", ERROR, "no default storage class", "kubectl annotate"),
        ("StorageClass", [facts_of.storage_class(default=False)], "storage", ERROR, "no default", "kubectl annotate"),
        (
            "StorageClass",
            [facts_of.storage_class("a"), facts_of.storage_class("b")],
            "storage",
            WARNING,
            "a, b are all default",
            "leave one",
        ),
        ("StorageClass", [facts_of.storage_class()], "storage", WARNING, "cannot grow later", "allowVolumeExpansion"),
        ("DaemonSet", [], "network policies", WARNING, "every pod may connect", "Calico"),
        ("DaemonSet", [FLANNEL], "network policies", WARNING, "every pod may connect", "Calico"),
        ("DaemonSet", [facts_of.kindnet("v20240513-cbcd9eab")], "network policies", WARNING, "enforces none", "0.24"),
        ("APIService", [], "metrics", WARNING, "would never act", "installs metrics-server"),
        ("APIService", [facts_of.metrics_api("False")], "metrics", WARNING, "MissingEndpoints", "describe pods"),
        ("Service", [TRAEFIK], "ports", WARNING, "kube-system/traefik", "port-forward"),
    ],
)  # fmt: skip
def test_each_fault_is_one_line_with_a_remedy(
    kind: str, objects: list[Json], check: str, level: Level, text: str, remedy: str
) -> None:
    finding = findings(facts([*without(kind), *objects]))[check]
    assert finding.level == level
    assert text in finding.text
    assert remedy in finding.remedy
    assert "\n" not in doctor.line(finding)


@pytest.mark.parametrize("name", ["calico-node", "cilium"])
def test_known_networks_enforce_policies(name: str) -> None:
    agent = {**facts_of.kindnet(), "metadata": {"name": name, "namespace": "kube-system"}}
    assert findings(facts([*without("DaemonSet"), agent]))["network policies"].level == OK
    assert findings(facts([K3S]))["network policies"].level == OK


@pytest.mark.parametrize(
    ("context", "remedy"), [("minikube", "minikube addons enable metrics-server"), ("other", "install metrics-server")]
)
def test_the_remedy_for_missing_metrics_is_the_clusters_own(context: str, remedy: str) -> None:
    assert remedy in findings(facts(facts_of.new_kind_cluster(), context=context))["metrics"].remedy


def test_a_port_that_is_in_use_is_named() -> None:
    assert "port 8443" in findings(facts(facts_of.new_kind_cluster(), busy=(8443,)))["ports"].text


@pytest.mark.parametrize(("cpu", "level"), [("100m", OK), ("200m", WARNING), ("500m", ERROR)])
def test_what_others_request_is_not_free(cpu: str, level: Level) -> None:
    other = facts_of.pod("theirs", "web", cpu)
    assert findings(facts([*facts_of.new_kind_cluster(), other]))["resources"].level == level


def test_pods_that_are_over_and_the_platforms_own_take_no_room() -> None:
    others = [facts_of.pod("theirs", "job", "2", phase="Succeeded"), facts_of.pod("churn-serving", "api", "2")]
    assert findings(facts([*facts_of.new_kind_cluster(), *others]))["resources"].level == OK


def test_a_pod_must_fit_into_one_node() -> None:
    """Nine nodes together have enough, but none has room for the training."""
    tiny = {"allocatable": {"cpu": "700m", "memory": "900Mi"}}
    nodes = [facts_of.node(f"n{index}", **tiny) for index in range(9)]
    assert asked_by_dev().largest == Room(250, 1024)
    assert findings(facts([*without("Node"), *nodes]))["resources"].level == ERROR


CURRENT = '"config current-context") echo kind-churn'


class Kubectl(Scripted):
    """A kubectl that prints one list, and keeps what it is told to apply."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "kubectl")
        self.listed, self.applied = folder / "list", folder / "applied"
        self.show(facts_of.new_kind_cluster())
        self.answers(CURRENT, f"*get\\ *) cat {self.listed}", f"*apply\\ *) cat > {self.applied}")

    def show(self, objects: list[Json]) -> None:
        self.listed.write_text(json.dumps({"kind": "List", "items": objects}))


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    program = Kubectl(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(doctor, "needs", lambda *_: asked_by_dev())
    monkeypatch.setattr(doctor, "is_free", lambda _port: True)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return program


def churn(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["doctor", *words])
    return result.exit_code, result.stdout


def test_the_command_prints_a_line_for_each_check_and_changes_nothing(kubectl: Kubectl) -> None:
    code, text = churn()
    assert code == ExitCode.DONE
    lines = text.splitlines()
    assert len(lines) == len(CHECKS) + 1
    assert lines[0] == "ok       context: the cluster of context kind-churn answers"
    storage, metrics = (line for line in lines if line.startswith("warning"))
    assert storage.startswith("warning  storage: volumes of the default storage class, standard, cannot grow later; ")
    reason = "warning  metrics: there is no metrics API: the API's autoscaler would never act; "
    assert metrics == reason + "`churn cluster up` installs metrics-server on kind"
    assert all(call.removeprefix("--context kind-churn ").startswith(("get", "config")) for call in kubectl.calls)


def test_an_error_has_the_exit_code_of_what_a_person_must_do(kubectl: Kubectl) -> None:
    kubectl.show(without("StorageClass"))
    code, text = churn("--json")
    assert code == ExitCode.BAD_INPUT
    [error] = [finding for finding in json.loads(text) if finding["level"] == "error"]
    assert error.keys() == {"check", "level", "text", "remedy"}
    assert error["check"] == "storage"


def test_a_cluster_that_does_not_answer_is_an_error_with_kubectls_reason(kubectl: Kubectl) -> None:
    kubectl.answers(CURRENT, "*get\\ *) echo warming up >&2; echo 'Unable to connect: refused' >&2; exit 1")
    code, text = churn()
    assert code == ExitCode.BAD_INPUT
    assert text.startswith("error    context: the cluster of context kind-churn cannot be examined: Unable to connect")


def test_without_a_context_or_kubectl_the_reason_is_one_line(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl.answers('"config current-context") exit 1')
    with pytest.raises(OpsError, match="no current context"):
        doctor.diagnose("", "dev", ROOT)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OpsError, match="kubectl is not installed"):
        doctor.diagnose("", "dev", ROOT)
    with pytest.raises(OpsError, match="there is no stack 'live'"):
        doctor.diagnose("kind-churn", "live", ROOT)


def prepared(context: str = "kind-churn") -> list[str]:
    printed: list[str] = []
    doctor.prepare(context, "dev", ROOT, printed.append)
    return printed


def test_up_gives_kind_the_metrics_server_that_it_lacks_once(kubectl: Kubectl) -> None:
    printed = prepared()
    assert [line.split(":")[0] for line in printed if line.startswith("warning")] == ["warning  storage"]
    applied = json.loads(kubectl.applied.read_text())["items"]
    assert applied == metrics_server.objects()
    kubectl.applied.unlink()
    kubectl.show([*facts_of.new_kind_cluster(), facts_of.metrics_api("False")])
    assert any("not available" in line for line in prepared())
    assert not kubectl.applied.exists()  # somebody's own, which is left alone


def test_up_installs_nothing_in_other_clusters_and_says_what_is_missing(kubectl: Kubectl) -> None:
    printed = prepared("minikube")
    assert any("minikube addons enable metrics-server" in line for line in printed)
    assert not kubectl.applied.exists()


def test_up_stops_at_an_error_before_it_changes_anything(kubectl: Kubectl) -> None:
    kubectl.show([*without("StorageClass"), facts_of.pod("theirs", "web", "1")])
    with pytest.raises(OpsError, match="no default storage class") as error:
        prepared()
    assert "pods would stay Pending" in str(error.value)
    assert not kubectl.applied.exists()


@pytest.mark.parametrize("answer", ["echo nothing", "echo 'forbidden' >&2; exit 1"])
def test_up_goes_on_where_the_cluster_cannot_be_examined(kubectl: Kubectl, answer: str) -> None:
    kubectl.answers(f"*get\\ *) {answer}")
    [line] = prepared()
    assert line.startswith("warning  context: the cluster could not be examined")


def test_a_failed_installation_is_a_warning(kubectl: Kubectl) -> None:
    kubectl.answers(f"*get\\ *) cat {kubectl.listed}", "*apply\\ *) echo 'no right' >&2; exit 1")
    assert prepared()[-1].endswith("so the autoscaler will not act: no right")


def test_metrics_server_is_pinned_hardened_and_reaches_kinds_kubelets() -> None:
    objects = {(item["kind"], item["metadata"]["name"]): item for item in metrics_server.objects()}
    assert len(objects) == len(metrics_server.objects()) == 9
    spec = objects["Deployment", "metrics-server"]["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert "--kubelet-insecure-tls" in container["args"]
    assert ":v" in container["image"]
    security = container["securityContext"]
    assert (security["runAsNonRoot"], security["readOnlyRootFilesystem"]) == (True, True)
    assert security["capabilities"] == {"drop": ["ALL"]}
    service = objects["APIService", metrics_server.API]["spec"]["service"]
    assert objects["Service", service["name"]]["metadata"]["namespace"] == service["namespace"] == "kube-system"


def test_the_needs_are_those_of_the_recorded_stack() -> None:
    assert doctor.needs("dev", ROOT, 2) == demand(recorded("dev").manifests(), nodes=2)
