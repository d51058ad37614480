"""Each builder's images get into each kind of cluster, under the very names that the pods ask for."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from support.desk import Desk
from support.shims.kind import imported

from infra.kubeconfig import LOCAL_TOOLS
from infra.versions import OWN
from ops.errors import OpsError
from ops.stack import image_build, image_load

ARCHIVE = Path("a.tar")
IMAGE = "churn.invalid/api:1"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch, "kind", "kubectl", "pulumi")


@pytest.mark.parametrize("tool", ["docker build", "podman build", "buildah bud"])
def test_up_on_kind_works_with_each_builder(desk: Desk, tool: str) -> None:
    """kind asks only docker for images by name, and only complete names mean the same to podman and to the kubelet.

    Nodes run in docker or podman, so buildah is never the only tool.
    """
    builder = tool.split(maxsplit=1)[0]
    for program in {builder, "podman"} if builder == "buildah" else {builder}:
        desk.install(program)
    desk.set("CHURN_BUILD", tool)
    desk.churn("cluster", "up")
    tag = desk.settings("churn:images")["tag"]
    assert set(desk.clusters()["churn"]["images"]) == {f"churn.invalid/{name}:{tag}" for name in OWN}
    assert desk.clusters()["churn"]["objects"] == tag


def test_the_old_builder_of_docker_is_not_given_the_option_that_it_refuses(desk: Desk) -> None:
    desk.install("docker")
    desk.set("CHURN_SHIMS_BUILDX", "none")
    desk.churn("images", "build", "api")
    assert "--provenance" not in desk.called("docker build")[0]


@pytest.mark.parametrize(
    ("version", "option"),
    [
        ("github.com/docker/buildx v0.30.1 0123456", ["--provenance=false"]),
        ("github.com/docker/buildx 0.10.0-docker 0123456", ["--provenance=false"]),
        ("github.com/docker/buildx v0.9.1-docker 0123456", []),
        ("buildah 1.43.0", []),
    ],
)
def test_attestations_are_turned_off_where_that_can_be_said(tmp_path: Path, version: str, option: list[str]) -> None:
    """A `docker` may be podman, which refuses the option, or an old buildx (kubernetes-sigs/windows-gmsa 117)."""
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho {version}\n")
    docker.chmod(0o755)
    assert image_build.without_attestations([str(docker), "build"]) == option
    assert image_build.without_attestations(["podman", "build"]) == []


@pytest.mark.parametrize(
    ("context", "named", "tool", "expected"),
    [
        ("kind-desk", "", "docker build",
         ["docker save --output a.tar churn.invalid/api:1", "kind load image-archive --name desk a.tar"]),
        ("kind-desk", "", "podman --remote build",
         ["podman --remote save --format docker-archive --output a.tar churn.invalid/api:1",
          "kind load image-archive --name desk a.tar"]),
        ("kind-a-b", "", "buildah --root /x bud --layers",
         ["buildah --root /x push churn.invalid/api:1 docker-archive:a.tar:churn.invalid/api:1",
          "kind load image-archive --name a-b a.tar"]),
        ("k3d-a", "", "docker buildx build --load",
         ["docker save --output a.tar churn.invalid/api:1", "k3d image import --cluster a a.tar"]),
        ("minikube", "", "docker build",
         ["docker save --output a.tar churn.invalid/api:1", "minikube --profile minikube image load a.tar"]),
        ("docker-desktop", "", "docker build", []),
        ("elsewhere", "nerdctl load", "kaniko", ["nerdctl load churn.invalid/api:1"]),
    ],
)  # fmt: skip
def test_how_depends_on_the_cluster_and_the_builder(context: str, named: str, tool: str, expected: list[str]) -> None:
    how = image_load.loader(context, named, tool.split())
    assert [" ".join(words) for words in how.commands(IMAGE, ARCHIVE)] == expected


@pytest.mark.parametrize(
    ("context", "tool", "message"),
    [
        (
            "arn:aws:eks:eu-central-1:1:cluster/x",
            "docker build",
            "no command is known .* with --load",
        ),
        ("kind-a", "kaniko", "saves an image which kaniko built"),
        ("docker-desktop", "podman build", "podman keeps its images elsewhere: build with --tool 'docker build'"),
    ],
)
def test_where_no_way_is_known_the_command_is_asked_for(context: str, tool: str, message: str) -> None:
    with pytest.raises(OpsError, match=message):
        image_load.loader(context, "", tool.split())


def test_every_local_tool_is_one_whose_clusters_take_images() -> None:
    assert {*image_load.LOADERS, *image_load.SHARED} == set(LOCAL_TOOLS)


# ------------------------------------------------------------------ the stand-ins are no kinder than the tools


def build(desk: Desk, tool: str, name: str, *more: str) -> None:
    desk.install(tool)
    command = "bud" if tool == "buildah" else "build"
    recipe = str(desk.root / "Dockerfile")
    done = desk.run(tool, command, "-f", recipe, "--target", "api", "-t", name, *more, str(desk.root))
    assert done.returncode == 0, done.stderr


def test_kind_finds_no_image_of_podman(desk: Desk) -> None:
    build(desk, "podman", "churn/api:1")
    assert desk.run("kind", "create", "cluster").returncode == 0
    refused = desk.run("kind", "load", "docker-image", "churn/api:1")
    assert refused.returncode == 1
    assert refused.stderr.endswith('ERROR: image: "churn/api:1" not present locally\n')


def test_podman_saves_a_short_name_under_another_one_than_the_kubelet_reads(desk: Desk) -> None:
    build(desk, "podman", "churn/api:1")
    archive = desk.root / "a.tar"
    assert desk.run("podman", "save", "--format", "docker-archive", "-o", str(archive), "churn/api:1").returncode == 0
    assert imported(archive) == ["localhost/churn/api:1"]
    again = desk.run("podman", "save", "--format", "docker-archive", "-o", str(archive), "churn/api:1")
    assert again.stderr == "Error: docker-archive doesn't support modifying existing images\n"


@pytest.mark.parametrize(("more", "code"), [([], 1), (["--provenance=false"], 0)])
def test_kind_loads_no_attested_image(desk: Desk, more: list[str], code: int) -> None:
    build(desk, "docker", IMAGE, *more)
    assert desk.run("kind", "create", "cluster").returncode == 0
    done = desk.run("kind", "load", "docker-image", IMAGE)
    assert done.returncode == code
    assert ("content digest sha256:" in done.stderr) == (code == 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["load", "image-archive", "/nowhere.tar"], "stat /nowhere.tar: no such file or directory"),
        (["load", "image-archive", "--name", "other", "ARCHIVE"], 'no nodes found for cluster "other"'),
        (["create", "cluster"], 'node(s) already exist for a cluster with the name "kind"'),
        (["create", "cluster", "--name", "b", "--port", "1"], "unknown flag: --port"),
        (["delete", "cluster", "--name", "b"], 'cluster "b" doesn\'t exist'),
        (["load", "images"], "unknown command"),
        (["load", "docker-image"], "a list of image names is required"),
        (["create", "cluster", "--name"], "flag needs an argument: --name"),
    ],
)
def test_kind_refuses(desk: Desk, words: list[str], message: str) -> None:
    desk.install("docker")
    desk.run("kind", "create", "cluster")
    archive = desk.root / "empty.tar"
    tarfile.open(archive, "w").close()
    refused = desk.run("kind", *(str(archive) if word == "ARCHIVE" else word for word in words))
    assert refused.returncode == 1
    assert message in refused.stderr


def test_kind_needs_docker_or_podman_for_its_nodes_and_loads_only_into_running_ones(desk: Desk) -> None:
    desk.install("buildah")
    refused = desk.run("kind", "create", "cluster")
    assert (refused.returncode, desk.clusters()) == (1, {})
    build(desk, "docker", IMAGE, "--provenance=false")
    assert desk.run("kind", "create", "cluster").returncode == 0
    desk.change_cluster("kind", running=False)
    refused = desk.run("kind", "load", "docker-image", IMAGE)
    assert (refused.returncode, desk.clusters()["kind"]["images"]) == (1, [])


def test_a_new_cluster_has_no_metrics_until_they_are_installed(desk: Desk) -> None:
    desk.install("docker")
    desk.run("kind", "create", "cluster")
    asked = ("kubectl", "--context", "kind-kind", "get", "--raw", "/apis/metrics.k8s.io/v1beta1")
    refused = desk.run(*asked)
    assert (refused.returncode, "NotFound" in refused.stderr) == (1, True)
    service = {"kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"}}
    applied = desk.run("kubectl", "apply", "--server-side", "-f", "-", stdin={"kind": "List", "items": [service]})
    assert (applied.returncode, desk.run(*asked).returncode) == (0, 0)
    listed = desk.run("kubectl", "get", "apiservices,nodes", "--all-namespaces", "--output", "json")
    assert [item["kind"] for item in json.loads(listed.stdout)["items"]] == ["Node", "APIService"]


def test_kind_changes_the_current_context_and_unsets_its_own(desk: Desk) -> None:
    desk.install("docker")
    desk.run("kind", "create", "cluster", "--name", "a")
    desk.run("kind", "create", "cluster", "--name", "b")
    assert desk.current_context == "kind-b"
    desk.run("kind", "delete", "cluster", "--name", "a")
    assert desk.current_context == "kind-b"
    desk.run("kind", "delete", "cluster", "--name", "b")
    assert desk.current_context == ""
    assert desk.run("kubectl", "get", "--raw", "/readyz").stderr == "error: current-context is not set\n"
