"""A recording holds what the engine would receive: names, secrets, providers and protection included."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random
import pytest
from pulumi_kubernetes.core.v1 import ConfigMap, Secret

from ops.errors import OpsError
from ops.stack.checkout import stack_config
from ops.stack.recording import MASK, STAND_IN, Recording, hidden, record


class Thing(pulumi.ComponentResource):
    """A component with a password in a Secret."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("churn:workloads:Thing", name, {}, opts)
        inside = pulumi.ResourceOptions(parent=self)
        password = pulumi_random.RandomPassword(f"{name}-password", length=20, opts=inside)
        config = ConfigMap(f"{name}-config", data={"size": "3"}, opts=inside)
        Secret(
            f"{name}-secret",
            string_data={"password": password.result, "user": "me"},
            opts=pulumi.ResourceOptions(parent=self, protect=True, depends_on=[config]),
        )
        pulumi.export("config", config.metadata.name)
        pulumi.export("password", password.result)


def program() -> None:
    providers: list[pulumi.ProviderResource] = [k8s.Provider("cluster"), pulumi_random.Provider("random")]
    Thing("thing", pulumi.ResourceOptions(providers=providers))


def recording() -> Recording:
    return record("dev", program, {})


def test_it_keeps_what_was_registered() -> None:
    items = {item.name: item for item in recording().resources}
    assert set(items) == {"cluster", "random", "thing", "thing-password", "thing-config", "thing-secret"}
    secret, config = items["thing-secret"], items["thing-config"]
    assert secret.protect
    assert not config.protect
    assert config.urn in secret.depends_on
    assert items["thing-password"].urn in secret.depends_on
    assert "::cluster::" in secret.provider
    assert secret.parent == items["thing"].urn
    assert items["thing-password"].inputs["length"] == 20
    assert isinstance(items["thing-password"].inputs["length"], int)


def test_secrets_keep_their_mark_and_can_be_hidden() -> None:
    secret = next(item for item in recording().resources if item.name == "thing-secret")
    assert secret.secret_inputs == {"stringData"}  # the whole of it: the SDK marks every field of a Secret
    assert secret.manifest()["stringData"]["password"] == f"{STAND_IN}-thing-password"
    masked = secret.manifest(masked=True)
    assert masked["stringData"]["password"] == MASK
    assert STAND_IN not in str(masked)


def test_outputs_and_their_marks() -> None:
    stack = recording()
    assert stack.outputs["password"] == f"{STAND_IN}-thing-password"
    assert "password" in stack.secret_outputs
    assert "config" not in stack.secret_outputs


def test_a_name_that_pulumi_makes_changes_with_the_content() -> None:
    first = recording().outputs["config"]
    assert first == recording().outputs["config"]
    assert first.startswith("thing-config-")


def test_hiding_reaches_into_lists_and_keeps_the_rest() -> None:
    value = {"list": [{"a": 1}, {"a": 2}], "all": {"x": "y"}}
    assert hidden(value, frozenset({"list.1.a", "all"})) == {"list": [{"a": 1}, {"a": MASK}], "all": {"x": MASK}}


def test_an_error_of_the_program_reaches_the_caller() -> None:
    def broken() -> None:
        raise pulumi.RunError("no such thing")

    with pytest.raises(pulumi.RunError, match="no such thing"):
        record("dev", broken, {})


def test_an_unknown_stack_names_the_known_ones(pytestconfig: pytest.Config) -> None:
    with pytest.raises(OpsError, match="there is no stack 'qa': choose one of dev, prod, staging"):
        stack_config("qa", pytestconfig.rootpath)
