"""Which cluster a local stack is bound to, and which contexts it takes without being told their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recorder import config, settings

from infra.cloud import CloudOutputs, Database
from infra.config import ConfigError
from infra.kubeconfig import Context, Kubeconfig, require_context
from infra.provider import cluster_provider
from ops.stack.recording import record

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: kind-one
clusters:
  - {name: c, cluster: {server: "https://127.0.0.1:41235"}}
  - {name: far, cluster: {server: "https://ABCD.gr7.eu-central-1.eks.amazonaws.com"}}
contexts:
  - {name: kind-one, context: {cluster: c, user: u}}
  - {name: two, context: {cluster: c, user: u}}
  - {name: prod, context: {cluster: far, user: u}}
"""


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def test_the_kubeconfig_is_the_one_kubectl_takes(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{kubeconfig}")
    assert require_context("").path == kubeconfig
    assert require_context("two").path == kubeconfig
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    kubeconfig.rename(tmp_path / ".kube" / "config")
    assert require_context("").path == tmp_path / ".kube" / "config"


def test_of_several_files_the_first_to_say_something_wins(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    first.write_text("current-context: prod\ncontexts: [{name: two, context: {cluster: far}}]\nclusters: []\n")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{kubeconfig}")
    merged = Kubeconfig.read()
    assert merged.current == "prod"
    assert (merged.contexts["two"].path, merged.contexts["prod"].path) == (first, kubeconfig)
    assert merged.contexts["two"].server == merged.contexts["prod"].server


@pytest.mark.parametrize(
    ("content", "context", "message"),
    [
        (None, "", "there is no kubeconfig at"),
        (
            KUBECONFIG,
            "three",
            "has no context 'three': set churn:cluster.context to one of ['kind-one', ",
        ),
        (KUBECONFIG.replace("current-context: kind-one", ""), "", "has no current context: set churn:cluster.context"),
        ("contexts: [{name: one}]\n", "", "is no kubeconfig: it needs contexts and clusters"),
        (": : :", "", "is no kubeconfig"),
        ("[]", "", "has no current context"),
        ("[one]", "", "is no kubeconfig"),
    ],
)
def test_a_bad_kubeconfig_is_reported_in_one_line(
    content: str | None, context: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(ConfigError) as caught:
        require_context(context)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "server", "local"),
    [
        ("kind-churn", "https://127.0.0.1:41235", True),
        ("kind-churn", "https://[::1]:41235", True),
        ("k3d-churn", "https://0.0.0.0:6550", True),
        ("minikube", "https://192.168.49.2:8443", True),
        ("docker-desktop", "https://kubernetes.docker.internal:6443", True),
        ("orbstack", "https://k8s.orb.local:26443", True),
        ("kind-churn", "https://1.1.1.1:6443", False),
        ("kind-churn", "https://clusters.example.com:6443", False),
        ("kind-churn", "", False),
        ("arn:aws:eks:eu-central-1:000000000000:cluster/prod", "https://127.0.0.1:8443", False),
        ("prod", "https://localhost:6443", False),
    ],
)
def test_a_context_is_local_by_its_name_and_its_address(name: str, server: str, local: bool) -> None:  # noqa: FBT001 - a parameter
    """A tunnel ends on this machine, and a name can be given to anything; both together are a tool's own."""
    assert Context(name=name, path=Path(), server=server).is_local is local


def test_a_context_that_is_not_local_is_used_only_by_its_name(kubeconfig: Path) -> None:
    assert require_context("prod").server.endswith("eks.amazonaws.com")
    kubeconfig.write_text(KUBECONFIG.replace("current-context: kind-one", "current-context: prod"))
    with pytest.raises(ConfigError, match=r"'prod' .* run `pulumi config set --path churn:cluster.context prod`$"):
        require_context("")


def provider(context: str) -> dict[str, object]:
    """Inputs of the provider of a local stack's objects."""
    chosen = settings("dev")
    chosen = chosen.model_copy(update={"cluster": chosen.cluster.model_copy(update={"context": context})})
    cloud = CloudOutputs(secrets={}, database=Database(host="x"))

    def program() -> None:
        cluster_provider(chosen, cloud)

    recording = record("dev", program, config("dev"))
    (only,) = (item for item in recording.resources if item.type == "pulumi:providers:kubernetes")
    return dict(only.inputs)


@pytest.mark.parametrize(("context", "expected"), [("", "kind-one"), ("prod", "prod")])
def test_the_provider_is_bound_to_one_context_by_name(kubeconfig: Path, context: str, expected: str) -> None:
    """Destroying runs no program: without a context in the state it would act on kubectl's, whatever that is then."""
    inputs = provider(context)
    assert (inputs["context"], inputs["kubeconfig"]) == (expected, str(kubeconfig))


@pytest.mark.usefixtures("kubeconfig")
def test_another_name_of_the_context_replaces_nothing() -> None:
    """By Pulumi's rule another identifier is another cluster: provider and objects are replaced, the old ones deleted
    by name (pulumi/pulumi-kubernetes, provider/pkg/provider/provider_diffconfig_test.go).
    """
    assert provider("kind-one")["clusterIdentifier"] == provider("two")["clusterIdentifier"]
