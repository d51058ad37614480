"""Each stack comes up from nothing by the commands of its document, and in prod no model goes live unreviewed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pulumi import automation as auto
from support.engine.bring_up import AWS, ModelCluster, Typist, commands, dev_commands
from support.engine.cloud import REGISTRY, CloudProject, invented_digests
from support.engine.cluster import Key
from support.engine.project import Deployed
from support.engine.provider import ProviderError
from support.engine.readiness import completed

from infra.naming import MLOPS
from infra.versions import OWN

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


def locked(project: CloudProject) -> None:
    """Name a registry, as the document says, and invent the digests that a stack may require."""
    project.configure(lambda config: config["churn:images"].update(registry=REGISTRY))
    project.lock(invented_digests(project.stack))


def test_staging_is_up_after_the_commands_of_its_document(command: auto.PulumiCommand, tmp_path: Path) -> None:
    cluster = ModelCluster()
    with CloudProject("staging", command=command, folder=tmp_path, cluster=cluster).open() as project:
        locked(project)
        typist = Typist(project, lambda words: pytest.fail(f"docs/aws.md has a command that is not Pulumi's: {words}"))
        (block,) = commands(AWS, "Staging, from nothing")
        # Previews change nothing, and another test looks at them.
        lines = [line for line in block if not line.startswith("pulumi preview")]
        _init, before = (typist.type(line) for line in lines[:2])
        early = dict(cluster.objects)
        whole = typist.type(lines[2])
        assert before is not None
        assert whole is not None
        kinds = {step.urn.split("::")[2].rpartition("$")[2] for step in before.changes}
        assert "aws:ecr/repository:Repository" in kinds
        own = {f"{REGISTRY}/{name}:" for name in OWN}
        texts = [json.dumps(item) for item in early.values()]
        assert not {image for image in own for text in texts if image in text}
        assert cluster.production


def test_prod_is_up_after_the_commands_of_its_document_and_a_persons_promotion(
    command: auto.PulumiCommand, tmp_path: Path
) -> None:
    cluster = ModelCluster()
    with CloudProject("prod", command=command, folder=tmp_path, cluster=cluster).open() as project:
        locked(project)
        promotions = []

        def other(words: list[str]) -> None:
            match words:
                case ["aws", "s3", "cp", _file, address]:
                    cluster.files.add(address)
                case ["kubectl", "-n", namespace, "create", "job", schedule, name]:
                    cluster.start(schedule.removeprefix("--from=cronjob/"), namespace, name)
                case ["kubectl", "-n", namespace, "wait", "--for=condition=Complete", _timeout, job]:
                    assert completed(cluster.objects[Key("Job", namespace, job.removeprefix("job/"))])
                    assert cluster.staged
                case [".venv/bin/churn", "promote"]:
                    promotions.append(cluster.production)
                    cluster.promote()
                case [".venv/bin/churn", "cluster", "wait"] | ["export", *_] | ["aws", "eks", "update-kubeconfig", *_]:
                    pass
                case _:
                    pytest.fail(f"docs/aws.md has a command that this test does not know: {words}")

        typist = Typist(project, other)
        outcomes = [typist.type(line) for block in commands(AWS, "Prod, from nothing") for line in block]
        assert promotions == [False]  # nothing was in production until a person promoted it
        assert sum(outcome is not None for outcome in outcomes) == 2
        (api,) = (item for key, item in cluster.objects.items() if (key.kind, key.name) == ("Deployment", "api"))
        assert api["metadata"]["namespace"] == "churn-serving"


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
