"""An edit of the configuration or of a file changes only the resources that depend on it."""

from __future__ import annotations

from typing import Any

import pytest
from support.engine.project import Deployed
from support.procedures import pulumi_up

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.long(seconds=110, together=__name__),
]


def touched_by_up(deployed: Deployed) -> list[tuple[str, str]]:
    """Operation and name of each change, in the engine's order."""
    outcome = deployed.project.run("up", diff=True)
    assert outcome.succeeded, outcome.printed
    # `replace` repeats what its two halves say.
    return [(step.operation, step.name) for step in outcome.changes if step.operation != "replace"]


def test_more_api_replicas_update_the_autoscaler_alone(deployed: Deployed) -> None:
    def edit(config: dict[str, Any]) -> None:
        config["churn:api"]["max_replicas"] += 1

    deployed.project.configure(edit)
    assert touched_by_up(deployed) == [("update", "api-autoscaler")]


@pytest.mark.parametrize(
    ("file", "edit", "content", "reader"),
    [
        ("infra/rules/api.yaml", ("No pod of", "Not one pod of"), "prometheus-rules", "prometheus-statefulset"),
        ("dashboards/api.py", ("Pods up", "Pods that are up"), "grafana-dashboards", "grafana-deployment"),
    ],
)
def test_an_edited_file_is_a_new_config_map_and_rolls_its_readers_before_the_old_one_goes(
    deployed: Deployed, file: str, edit: tuple[str, str], content: str, reader: str
) -> None:
    path = deployed.project.folder / file
    text = path.read_text()
    assert edit[0] in text
    path.write_text(text.replace(*edit))
    assert touched_by_up(deployed) == [
        ("create-replacement", content),
        ("update", reader),
        ("delete-replaced", content),
    ]


def test_a_new_secret_rolls_its_readers_before_the_old_one_goes(deployed: Deployed) -> None:
    deployed.webhooks.append("https://hooks.example.invalid/services/canary-77c1e9")
    deployed.project.set_webhook(deployed.webhooks[-1])
    assert touched_by_up(deployed) == [
        ("create-replacement", "alertmanager-alert-receivers-secret"),
        ("update", "alertmanager-statefulset"),
        ("delete-replaced", "alertmanager-alert-receivers-secret"),
    ]


def test_a_larger_volume_grows_its_claim_and_replaces_nothing(deployed: Deployed) -> None:
    """The server's template asks for the new size too, and Kubernetes lets nobody change it."""

    def edit(config: dict[str, Any]) -> None:
        config["churn:database"]["storage_gib"] += 1

    deployed.project.configure(edit)
    assert touched_by_up(deployed) == [("update", "postgres-data-0")]


def test_a_deleted_server_and_its_claim_are_created_again_by_the_documented_command_and_nothing_else_changes(
    deployed: Deployed,
) -> None:
    """The claim has the size that it has now, and MLflow stays stopped."""
    lost = {"PersistentVolumeClaim": "data-postgres-0", "StatefulSet": "postgres"}
    objects = deployed.project.cluster.objects
    before = {key: objects.pop(key) for key in list(objects) if lost.get(key.kind) == key.name}
    assert len(before) == len(lost)
    (mlflow,) = (key for key in objects if (key.kind, key.name) == ("Deployment", "mlflow"))
    objects[mlflow]["spec"]["replicas"] = 0
    outcome = deployed.project.run("up", **pulumi_up("Database lost"))
    objects[mlflow]["spec"]["replicas"] = 1
    assert outcome.succeeded, outcome.printed
    assert [(step.operation, step.name) for step in outcome.changes] == [
        ("create", "postgres-data-0"),
        ("create", "postgres-server"),
    ]
    claim, server = sorted(before)
    assert objects[claim]["spec"] == before[claim]["spec"]
    # The new server's controller would create the claim with its present size, too.
    (template,) = objects[server]["spec"].pop("volumeClaimTemplates")
    assert template["spec"] == objects[claim]["spec"]
    before[server]["spec"].pop("volumeClaimTemplates")
    assert objects[server]["spec"] == before[server]["spec"]
    objects[server]["spec"]["volumeClaimTemplates"] = [template]
    assert pulumi_up("PostgreSQL upgrade") == pulumi_up("Database lost")
