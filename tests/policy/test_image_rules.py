"""No image escapes the mirror, and every pod has the login with which images are pulled, where a stack says so."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pytest
from support.image_rules import from_these_registries, with_a_pull_secret
from support.recorder import STACKS, MadeUpDigests, config, find, recorded, with_inputs
from support.recording_cache import cached

from infra.config import ConfigError
from infra.config_loader import REGISTRY_LOGINS
from infra.naming import NAMESPACES
from infra.parts.pull_secret import PULL_SECRET
from ops.stack.recording import Recording, record
from ops.stack.render import stack_program

MIRROR: Final = "mirror.example.com:5000/cache"
OWN: Final = "registry.example.com/churn"
LOGIN: Final = "robot:a-password"  # made up


def changed(stack: str, **images: Any) -> dict[str, Any]:
    values = config(stack)
    values["churn:images"] |= {"registry": OWN, "mirror": MIRROR, "pull_secret": True, **images}
    # Everything that can be on is on, so that every image is there.
    values["churn:cache"]["enabled"] = True
    values["churn:thanos"]["enabled"] = stack != "dev"
    return values


@cache
def mirrored(stack: str) -> Recording:
    """A stack with a mirror and a login for it."""
    values = changed(stack) | {f"churn:{REGISTRY_LOGINS}": {"mirror.example.com:5000": LOGIN}}
    return cached(stack, values, lambda: record(stack, stack_program(MadeUpDigests()), values))


@pytest.mark.parametrize("stack", STACKS)
def test_no_image_escapes_the_mirror(stack: str) -> None:
    assert from_these_registries(mirrored(stack), MIRROR, OWN) == []
    assert from_these_registries(recorded(stack), MIRROR, OWN), "without a mirror they come from elsewhere"


@pytest.mark.parametrize("stack", STACKS)
def test_every_pod_has_the_login_to_pull_its_image(stack: str) -> None:
    assert with_a_pull_secret(mirrored(stack)) == []
    assert with_a_pull_secret(recorded(stack)), "without the setting there is none"


def test_the_login_is_a_file_that_container_tools_read_and_secret_in_every_namespace() -> None:
    for namespace in NAMESPACES:
        secret = find(mirrored("prod"), "Secret", PULL_SECRET, namespace)
        assert "stringData" in secret.secret_inputs
        auths = json.loads(secret.inputs["stringData"][".dockerconfigjson"])["auths"]
        assert {registry: base64.b64decode(login["auth"]).decode() for registry, login in auths.items()} == {
            "mirror.example.com:5000": LOGIN
        }


@pytest.mark.parametrize("logins", [None, {}, {"registry.example.com": ""}, "robot"])
def test_without_a_login_the_stack_is_refused_and_shows_no_value(logins: object) -> None:
    values = changed("dev") | ({} if logins is None else {f"churn:{REGISTRY_LOGINS}": logins})
    with pytest.raises(ConfigError, match=r"pull_secret is true but churn:registry_logins has no login") as caught:
        record("dev", stack_program({}), values)
    assert "robot" not in str(caught.value)


@pytest.mark.parametrize(
    "mirror", ["mirror", "https://mirror.example.com", "mirror.example.com/", "Mirror.example.com"]
)
def test_a_mirror_without_a_host_is_refused(mirror: str) -> None:
    with pytest.raises(ConfigError, match=r"churn:images\.mirror is .*: write a registry with its host"):
        record("dev", stack_program({}), changed("dev", mirror=mirror, pull_secret=False))


def _with(kind: str, name: str, change: Callable[[dict[str, Any]], Any]) -> Recording:
    recording = mirrored("dev")
    return with_inputs(recording, find(recording, kind, name), change)


def test_a_violation_of_each_rule_is_found() -> None:
    def image(inputs: dict[str, Any]) -> None:
        inputs["spec"]["template"]["spec"]["initContainers"][0]["image"] = "docker.io/nginx/nginx-ingress:5.6.2"

    (line,) = from_these_registries(_with("Deployment", "ingress", image), MIRROR, OWN)
    assert line.startswith("Deployment/ingress copy-etc: docker.io/")
    without = _with("ServiceAccount", "training", lambda inputs: inputs.pop("imagePullSecrets"))
    assert any(line.startswith("CronJob/") and "has no login" in line for line in with_a_pull_secret(without))
    hidden = _with(
        "Deployment", "api", lambda i: i["spec"]["template"]["spec"].update(imagePullSecrets=[{"name": "x"}])
    )
    (line,) = with_a_pull_secret(hidden)
    assert "hide" in line
