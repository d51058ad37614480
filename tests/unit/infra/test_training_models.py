"""Training of several models: each has objects of its own, and a stack with one model keeps those that it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from support.paths import ROOT
from support.recorder import children, find, objects, pod_specs, record_with, recorded

from app.names import MODEL_NAME
from ops.jobs import migrate, retrain
from ops.stack.recording import Recording

BANK = {"source": "generated", "contract": "contracts/bank.yaml", "schedule": "30 2 * * 1"}


def two_models(stack: str = "prod", **changes: Any) -> Recording:
    """A stack that serves and trains `churn` and `bank`, each by its contract and on its data."""
    bank = {"source": "s3://{data}/bank.parquet", "contract": "contracts/bank.yaml", "schedule": "30 2 * * 1"}
    return record_with(
        stack, api={"models": ["churn", "bank"]}, training={"models": {"bank": {**bank, **changes}}, "bootstrap": True}
    )


def arguments(recording: Recording, name: str) -> list[str]:
    (container,) = pod_specs(recording)[name]["containers"]
    return list(container["args"])


def test_a_second_model_adds_its_own_objects_and_leaves_the_first_ones_alone() -> None:
    both = two_models()
    roles = {("CronJob", "schedule"), ("CronJob", "on-demand"), ("CronJob", "on-drift"), ("Job", "first")}
    added = {(kind, f"training-bank-{role}") for kind, role in {*roles, ("ConfigMap", "contract")}}
    alone = record_with("prod", training={"bootstrap": True})
    assert children(both, "training") == children(alone, "training") | added
    own = [item for item in alone.resources if item.name.startswith("training-")]
    for item in own:
        (same,) = [other for other in both.resources if other.urn == item.urn]
        assert same.inputs == item.inputs, item.name
    names = {item.inputs["metadata"].get("name") for item in objects(both, "CronJob")}
    assert {"training-bank", "training-bank-on-demand", "training-bank-on-drift"} <= names


def test_a_second_model_is_trained_on_its_data_by_its_contract_at_its_time() -> None:
    both = two_models()
    data = "s3://churn-prod-data-000000000000-eu-central-1/bank.parquet"
    expected = ["--data", data, "--model-name", "bank", "--contract", "/etc/churn/contract.yaml"]
    drift = ["--when-drifting", "http://prometheus.churn-monitoring.svc:9090", "--not-within-hours", "24"]
    assert arguments(both, "CronJob/training-bank") == expected
    assert arguments(both, "CronJob/training-bank-on-demand") == expected
    assert arguments(both, "CronJob/training-bank-on-drift") == [*expected, *drift]
    first = find(both, "Job", "training-bank-first").manifest()["spec"]["template"]["spec"]["containers"][0]
    assert first["args"] == [*expected, "--first"]
    options = retrain.Options.parse(first["args"])
    assert (options.model_name, options.contract) == ("bank", Path("/etc/churn/contract.yaml"))
    schedule = find(both, "CronJob", "training-bank").manifest()["spec"]
    assert (schedule["schedule"], schedule["timeZone"]) == ("30 2 * * 1", "Etc/UTC")
    assert "--model-name" not in arguments(both, "CronJob/training"), "a stack with one model keeps its pods"


def test_the_contract_is_the_file_of_the_checkout_and_reaches_the_pods_of_its_model_alone() -> None:
    both = two_models()
    config_map = find(both, "ConfigMap", "training-bank-contract")
    assert config_map.inputs["data"] == {"contract.yaml": (ROOT / "contracts" / "bank.yaml").read_text("utf-8")}
    name = config_map.outputs["metadata"]["name"]
    for role in ("", "-on-demand", "-on-drift"):
        spec = pod_specs(both)[f"CronJob/training-bank{role}"]
        (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "contract"]
        assert volume["configMap"]["name"] == name
        (mount,) = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "contract"]
        assert (mount["mountPath"], mount["readOnly"]) == ("/etc/churn", True)
    assert all(volume["name"] != "contract" for volume in pod_specs(both)["CronJob/training"]["volumes"])


def test_the_model_of_the_section_itself_can_have_a_contract_too() -> None:
    own = record_with("dev", training={"contract": "contracts/bank.yaml"})
    assert arguments(own, "CronJob/training") == ["--rows", "20000", "--contract", "/etc/churn/contract.yaml"]
    assert ("ConfigMap", "training-contract") in children(own, "training")


def test_without_a_contract_a_second_model_has_no_config_map() -> None:
    both = two_models(contract="", source="generated")
    assert arguments(both, "CronJob/training-bank") == ["--rows", "100000", "--model-name", "bank"]
    assert ("ConfigMap", "training-bank-contract") not in children(both, "training")


def test_the_longest_name_fits_kubernetes() -> None:
    name = "a" * 32
    both = record_with(
        "prod",
        api={"models": ["churn", name]},
        training={"models": {name: {"source": "generated", "schedule": "0 2 * * 0"}}},
    )
    names = [str(item.inputs["metadata"]["name"]) for item in objects(both, "CronJob")]
    assert f"training-{name}-on-demand" in names
    assert max(map(len, names)) <= 52


def test_the_alert_tells_models_by_the_names_of_their_cron_jobs() -> None:
    """promtool's cases have the same names; here they come from the program."""
    text = (ROOT / "infra" / "rules" / "training.yaml").read_text("utf-8")
    assert f'"model", "{MODEL_NAME}", "cronjob", "training"' in text
    assert '"model", "$1", "cronjob", "training-(.+)"' in text
    (pattern,) = set(re.findall(r'cronjob=~"([^"]+)"', text))
    (excluded,) = set(re.findall(r'cronjob!~"([^"]+)"', text))
    names = {str(item.inputs["metadata"]["name"]) for item in objects(two_models(), "CronJob")}
    chosen = {name for name in names if re.fullmatch(pattern, name) and not re.fullmatch(excluded, name)}
    assert chosen == {"training", "training-bank"}


def test_the_migration_makes_every_model_and_a_stack_with_one_keeps_its_arguments() -> None:
    def container(recording: Recording) -> dict[str, Any]:
        pod = find(recording, "Job", "mlflow-migration-job").manifest()["spec"]["template"]["spec"]
        (one,) = pod["containers"]
        return dict(one)

    served = record_with("prod", api={"models": ["churn", "elsewhere", "bank"]}, training={"models": {"bank": BANK}})
    models = ["--model", "churn", "--model", "elsewhere", "--model", "bank"]
    migration = container(served)
    start = migration["args"].index("--model")
    assert migration["args"][start : start + 6] == models
    assert migrate.Options.parse(migration["args"]).models == ["churn", "elsewhere", "bank"]
    alone = container(recorded("prod"))
    assert "--model" not in alone["args"]
    assert migrate.Options.parse(alone["args"]).models == ["churn"]
