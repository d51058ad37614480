"""Alertmanager: who hears of which alert, the files with its secrets, and how replicas find each other."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support.recorder import STACKS, MadeUpDigests, children, find, manifest, record_with, recorded, settings
from support.recorder import config as stack_config

from infra.config import ConfigError
from infra.config_alerts import AlertmanagerSettings
from infra.config_loader import check_receivers
from infra.workloads import alertmanager_config as alerting
from infra.workloads.alertmanager import mesh
from ops.stack.recording import record
from ops.stack.render import stack_program

OBJECTS = {
    ("ConfigMap", "alertmanager-config"),
    ("Service", "alertmanager-service"),
    ("ServiceAccount", "alertmanager-account"),
    ("StatefulSet", "alertmanager-statefulset"),
}
CLASS = ("SecretProviderClass", "alertmanager-alert-receivers-provider-class")
BUDGET = ("PodDisruptionBudget", "alertmanager-budget")
OFF = AlertmanagerSettings(
    replicas=1, slack=False, slack_channel="", email=False, email_to="", email_from="", smtp_host="", smtp_user="",
    pagerduty=False, deadman=False, docs_url="",
)  # fmt: skip
SLACK = {"slack": True, "slack_channel": "#a"}
EMAIL = {"email": True, "email_to": "a@b.c", "email_from": "d@e.f", "smtp_host": "g", "smtp_user": "h"}
PAGERDUTY = {"pagerduty": True}


def config(**on: Any) -> dict[str, Any]:
    return alerting.config(OFF.model_copy(update=on), grafana="https://grafana.example.com")


def heard(content: dict[str, Any]) -> dict[str, set[str]]:
    """Return the channels of each receiver."""
    return {
        receiver["name"]: {key.removesuffix("_configs") for key in receiver if key != "name"}
        for receiver in content["receivers"]
    }


def container(stack: str) -> dict[str, Any]:
    (only,) = manifest(stack, "StatefulSet", "alertmanager")["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def replicas(stack: str) -> int:
    return settings(stack).alertmanager.replicas


@pytest.mark.parametrize(("stack", "more"), [("dev", set()), ("staging", {CLASS}), ("prod", {CLASS, BUDGET})])
def test_it_is_exactly_these_objects(stack: str, more: set[tuple[str, str]]) -> None:
    claims = {("PersistentVolumeClaim", f"alertmanager-data-{index}") for index in range(replicas(stack))}
    assert children(recorded(stack), "alertmanager") == OBJECTS | claims | more


@pytest.mark.parametrize("stack", STACKS)
def test_its_pods(stack: str) -> None:
    spec = manifest(stack, "StatefulSet", "alertmanager")["spec"]
    pod = spec["template"]["spec"]
    assert spec["replicas"] == replicas(stack)
    assert spec["serviceName"] == "alertmanager"
    assert manifest(stack, "Service", "alertmanager")["spec"]["clusterIP"] == "None"
    assert pod["automountServiceAccountToken"] is False
    assert container(stack)["securityContext"]["readOnlyRootFilesystem"] is True
    assert [m["mountPath"] for m in container(stack)["volumeMounts"] if not m["readOnly"]] == ["/alertmanager"]
    assert {variable["name"] for variable in container(stack)["env"]} == {"POD_IP"}
    assert container(stack)["resources"]["limits"]["memory"] == "128Mi"
    probes = {name: container(stack)[f"{name}Probe"]["httpGet"]["path"] for name in ("readiness", "liveness")}
    assert probes == {"readiness": "/-/ready", "liveness": "/-/healthy"}
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


@pytest.mark.parametrize(
    ("stack", "files"),
    [
        ("dev", None),
        ("staging", {"slack_url", "smtp_password"}),
        ("prod", {"slack_url", "smtp_password", "pagerduty_routing_key", "deadman_url"}),
    ],
)
def test_it_mounts_the_secrets_of_the_channels_that_are_on(stack: str, files: set[str] | None) -> None:
    volumes = manifest(stack, "StatefulSet", "alertmanager")["spec"]["template"]["spec"]["volumes"]
    mounts = {mount["name"]: mount for mount in container(stack)["volumeMounts"]}
    assert ("alert-receivers" in {volume["name"] for volume in volumes}) is (files is not None)
    if files is None:
        assert "alert-receivers" not in mounts
        return
    assert mounts["alert-receivers"] == {"name": "alert-receivers", "mountPath": alerting.SECRETS, "readOnly": True}
    provider_class = find(recorded(stack), "SecretProviderClass", "alertmanager-alert-receivers")
    objects = yaml.safe_load(provider_class.inputs["spec"]["parameters"]["objects"])
    assert {file["objectAlias"] for file in objects[0]["jmesPath"]} == files


def test_on_a_laptop_the_secret_is_a_kubernetes_secret_with_the_values_that_are_needed() -> None:
    changed = stack_config("dev")
    changed["churn:alertmanager"] |= SLACK
    changed["churn:receivers"] = {"slack_url": "https://hooks.example.com/x", "smtp_password": "of no use here"}
    recording = record("dev", stack_program(MadeUpDigests()), changed)
    secret = find(recording, "Secret", "alertmanager-alert-receivers-secret")
    assert secret.inputs["stringData"] == {"slack_url": "https://hooks.example.com/x"}
    assert secret.secret_inputs
    text = find(recording, "ConfigMap", "alertmanager-config").inputs["data"]["alertmanager.yml"]
    assert "hooks.example.com" not in text


def test_alone_it_has_no_mesh() -> None:
    assert mesh(1) == ["--cluster.listen-address="]


def test_replicas_name_each_other() -> None:
    assert mesh(3) == [
        "--cluster.listen-address=0.0.0.0:9094",
        "--cluster.advertise-address=$(POD_IP):9094",
        "--cluster.peer=alertmanager-0.alertmanager.churn-monitoring.svc:9094",
        "--cluster.peer=alertmanager-1.alertmanager.churn-monitoring.svc:9094",
        "--cluster.peer=alertmanager-2.alertmanager.churn-monitoring.svc:9094",
    ]
    assert set(mesh(3)) <= set(container("prod")["args"])


def test_without_a_channel_everything_is_dropped_and_the_outputs_say_so() -> None:
    content = config()
    assert heard(content) == {"nobody": set()}
    assert content["route"]["receiver"] == "nobody"
    assert "smtp_smarthost" not in content["global"]
    assert recorded("dev").outputs["alert_channels"] == []
    assert recorded("prod").outputs["alert_channels"] == ["slack", "email", "pagerduty"]


def test_severities_go_to_the_channels_meant_for_them() -> None:
    assert heard(config(**SLACK, **EMAIL, **PAGERDUTY)) == {
        "nobody": set(),
        "critical": {"slack", "email", "pagerduty"},
        "warning": {"slack", "email"},
        "info": {"slack"},
    }


@pytest.mark.parametrize(("on", "channel"), [(SLACK, "slack"), (EMAIL, "email"), (PAGERDUTY, "pagerduty")])
def test_with_one_channel_every_severity_reaches_it(on: dict[str, Any], channel: str) -> None:
    content = config(**on)
    assert {name: channels for name, channels in heard(content).items() if name != "nobody"} == {
        "critical": {channel}, "warning": {channel}, "info": {channel},
    }  # fmt: skip
    assert ("smtp_smarthost" in content["global"]) is (channel == "email")


def test_secrets_are_named_by_their_files() -> None:
    content = config(**SLACK, **EMAIL, **PAGERDUTY)
    critical = next(receiver for receiver in content["receivers"] if receiver["name"] == "critical")
    assert critical["slack_configs"][0]["api_url_file"] == "/run/secrets/churn/alert-receivers/slack_url"
    assert critical["pagerduty_configs"][0]["routing_key_file"].endswith("/pagerduty_routing_key")
    assert content["global"]["smtp_auth_password_file"].endswith("/smtp_password")
    assert content["global"]["smtp_require_tls"] is True


def test_routes_are_matchers_and_an_unknown_severity_is_critical() -> None:
    route = config(**SLACK)["route"]
    assert route["receiver"] == "critical"
    assert [(child["matchers"], child["receiver"]) for child in route["routes"]] == [
        (['alertname="Watchdog"'], "nobody"),
        (['severity="critical"'], "critical"),
        (['severity="warning"'], "warning"),
        (['severity="info"'], "info"),
    ]
    assert route["group_by"] == ["alertname", "workload", "stack"]


NOT_THE_WATCHDOG = 'alertname!="Watchdog"'


def test_a_critical_alert_silences_lesser_ones_of_its_workload_and_a_dead_node_those_of_its_pods() -> None:
    lesser, _, pods, *_ = config(**SLACK)["inhibit_rules"]
    assert lesser["source_matchers"] == ['severity="critical"', 'model=""']
    assert lesser["target_matchers"] == ['severity=~"warning|info"', NOT_THE_WATCHDOG]
    assert lesser["equal"] == ["workload", "stack"]
    assert pods["source_matchers"] == ['alertname="NodeDown"']
    assert pods["target_matchers"] == ['scope="pod"', NOT_THE_WATCHDOG]
    assert pods["equal"] == ["node", "stack"]


def test_a_critical_alert_about_a_model_silences_lesser_ones_of_that_model_alone() -> None:
    _, of_model, *_ = config(**SLACK)["inhibit_rules"]
    assert of_model["source_matchers"] == ['severity="critical"', 'model!=""']
    assert of_model["target_matchers"] == ['severity=~"warning|info"', NOT_THE_WATCHDOG]
    assert of_model["equal"] == ["workload", "model", "stack"]


def test_a_cause_silences_its_effects_of_other_workloads() -> None:
    _, _, _, *causes = config(**SLACK)["inhibit_rules"]
    assert [(rule["source_matchers"], rule["target_matchers"][0], rule["equal"]) for rule in causes] == [
        (['alertname=~"PostgresDown"'], 'alertname="PostgresRefuses"', ["stack"]),
        (['alertname=~"ApiDown|IngressDown"'], 'alertname="EdgeProbeFailing"', ["stack"]),
    ]


def test_nothing_silences_the_watchdog() -> None:
    content = config(**SLACK, deadman=True)
    assert all(NOT_THE_WATCHDOG in rule["target_matchers"] for rule in content["inhibit_rules"])
    watchdog = content["route"]["routes"][0]
    assert watchdog["matchers"] == ['alertname="Watchdog"']
    assert not {"mute_time_intervals", "active_time_intervals"} & {*watchdog, *content["route"]}


def test_the_watchdog_goes_to_the_dead_mans_service_where_there_is_one() -> None:
    content = config(**SLACK, deadman=True)
    assert content["route"]["routes"][0]["receiver"] == "deadman"
    hooks = {receiver["name"]: receiver.get("webhook_configs") for receiver in content["receivers"]}
    assert hooks["deadman"] == [{"url_file": f"{alerting.SECRETS}/deadman_url", "send_resolved": False}]
    assert alerting.channels(OFF.model_copy(update={"deadman": True})) == []


def test_alerts_are_repeated_within_the_time_to_respond() -> None:
    repeats = {
        s["receiver"]: s["repeat_interval"] for s in config(**SLACK)["route"]["routes"] if "repeat_interval" in s
    }
    assert repeats == {"critical": "15m", "warning": "1h", "info": "24h"}


@pytest.mark.parametrize(
    ("on", "secrets", "lines"),
    [
        (SLACK, {}, ["churn:alertmanager.slack is on but churn:receivers.slack_url is not set"]),
        (SLACK, {"slack_url": "x"}, []),
        (SLACK | PAGERDUTY, {"slack_url": ""}, ["receivers.slack_url", "receivers.pagerduty_routing_key"]),
        ({}, {"slak_url": "canary"}, ["churn:receivers.slak_url is not right"]),
        ({}, "canary", ["churn:receivers is not right"]),
    ],
)
def test_a_channel_without_its_secret_is_an_error_before_anything_is_made(
    on: dict[str, Any], secrets: object, lines: list[str]
) -> None:
    chosen = settings("dev").model_copy(update={"alertmanager": OFF.model_copy(update=on)})
    if not lines:
        check_receivers(chosen, secrets)
        return
    with pytest.raises(ConfigError) as error:
        check_receivers(chosen, secrets)
    errors = str(error.value).splitlines()[1:]
    assert len(errors) == len(lines)
    assert all(part in line for part, line in zip(lines, errors, strict=True))
    assert "canary" not in str(error.value)


def test_the_program_checks_it() -> None:
    with pytest.raises(ConfigError, match=r"pulumi config set --secret --path churn:receivers\.slack_url"):
        record_with("dev", alertmanager=SLACK)
