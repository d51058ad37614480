"""Each stack comes up from nothing by the commands of its document, and in prod no model goes live unreviewed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from botocore.exceptions import ClientError
from pulumi import automation as auto
from support.engine.account import COMMIT, REGION, opened
from support.engine.bring_up import AWS, ModelCluster, Typist, commands, dev_commands
from support.engine.cloud import CloudProject
from support.engine.project import Deployed
from support.engine.provider import ProviderError

from infra.naming import MLOPS

pytestmark = [pytest.mark.service, pytest.mark.timeout(900, func_only=True)]


def test_dev_is_up_after_the_commands_of_its_document(deployed: Deployed) -> None:
    """The stack that the other tests share came up by exactly these, in a cluster whose API needs a model."""
    ours = [line.partition("#")[0].split() for line in dev_commands() if line.startswith("pulumi ")]
    assert ours[:3] == [["pulumi", *words.split()] for words in ("stack init dev", "preview -s dev", "up -s dev")]
    assert deployed.first_up.succeeded, deployed.first_up.printed
    assert isinstance(deployed.project.cluster, ModelCluster)
    assert deployed.project.cluster.production
    created = [call.urn.split("::")[3] for call in deployed.project.journal.calls if call.operation == "create"]
    assert created.index("mlflow-deployment") < created.index("training-first") < created.index("api-deployment")


BEFORE = ("Before the first deployment", "Images, before any stack")


def lines(*headings: str) -> list[str]:
    """The commands below some headings of docs/aws.md, in their order."""
    return [line for heading in headings for block in commands(AWS, heading) for line in block]


def test_staging_is_up_after_the_commands_of_its_document(command: auto.PulumiCommand, tmp_path: Path) -> None:
    cluster = ModelCluster()
    with (
        CloudProject("staging", command=command, folder=tmp_path, cluster=cluster).open() as project,
        opened(project, cluster) as account,
    ):
        typist = Typist(project, account.do)
        # Previews change nothing, and another test looks at them.
        typed = [line for line in lines(*BEFORE, "Staging, from nothing") if not line.startswith("pulumi preview")]
        outcomes = [typist.type(line) for line in typed]
        assert sum(outcome is not None for outcome in outcomes) == 1  # one `up` is enough
        assert cluster.production
        assert account.promotions == []


@pytest.mark.long(seconds=70, together="prod from nothing")
def test_prod_is_up_after_the_commands_of_its_document_and_a_persons_promotion(
    command: auto.PulumiCommand, tmp_path: Path
) -> None:
    cluster = ModelCluster()
    with (
        CloudProject("prod", command=command, folder=tmp_path, cluster=cluster).open() as project,
        opened(project, cluster) as account,
    ):
        typist = Typist(project, account.do)
        outcomes = [typist.type(line) for line in lines(*BEFORE, "Prod, from nothing")]
        assert account.promotions == [False]  # nothing was in production until a person promoted it
        assert sum(outcome is not None for outcome in outcomes) == 2
        (api,) = (item for key, item in cluster.objects.items() if (key.kind, key.name) == ("Deployment", "api"))
        assert api["metadata"]["namespace"] == "churn-serving"


def test_images_come_after_their_repositories_and_before_what_pulls_them() -> None:
    """The account of these tests refuses a push without a repository, and its cluster a pod without its image."""
    cluster = ModelCluster()
    with tempfile.TemporaryDirectory() as folder:
        project = SimpleNamespace(folder=Path(folder))
        with opened(cast("CloudProject", project), cluster) as account:
            with pytest.raises(ClientError, match="RepositoryNotFoundException"):
                account.do(["git", "push"])
            account.do([".venv/bin/python", "-m", "ops.stack.bootstrap", "--region", REGION, "--repository", "O/N"])
            cluster.create({"kind": "Namespace", "metadata": {"name": MLOPS}})
            image = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/churn/mlflow:{COMMIT}"
            spec = {"template": {"spec": {"containers": [{"image": f"{image}@sha256:0"}]}}}
            server = {"kind": "Deployment", "metadata": {"name": "mlflow", "namespace": MLOPS}, "spec": spec}
            with pytest.raises(ProviderError, match="Back-off pulling image"):
                cluster.create(server)
            account.do(["git", "push"])
            cluster.create(server)


def test_the_cluster_of_these_tests_refuses_what_a_real_one_would_not_get_ready() -> None:
    cluster = ModelCluster()
    for namespace in (MLOPS, "churn-serving"):
        cluster.create({"kind": "Namespace", "metadata": {"name": namespace}})
    labels = {"app.kubernetes.io/name": "api"}
    api = {"kind": "Deployment", "metadata": {"name": "api", "namespace": "churn-serving", "labels": labels}}
    with pytest.raises(ProviderError, match="no version of the model is in production"):
        cluster.create(api)

    def training(name: str, *arguments: str) -> None:
        labels = {"app.kubernetes.io/name": "training"}
        spec = {"template": {"spec": {"containers": [{"args": list(arguments)}]}}}
        metadata = {"name": name, "namespace": MLOPS, "labels": labels}
        cluster.create({"kind": "Job", "metadata": metadata, "spec": spec})

    with pytest.raises(ProviderError, match="MLflow does not answer"):
        training("a", "--rows", "1000")
    cluster.create({"kind": "Deployment", "metadata": {"name": "mlflow", "namespace": MLOPS}})
    with pytest.raises(ProviderError, match=r"s3://data/customers\.parquet does not exist"):
        training("b", "--data", "s3://data/customers.parquet")
    cluster.files.add("s3://data/customers.parquet")
    training("c", "--data", "s3://data/customers.parquet")
    assert (cluster.staged, cluster.production) == (True, False)
    training("d", "--rows", "1000", "--first")
    cluster.update(api)
