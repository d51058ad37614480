"""The login with which the kubelet pulls images: the same Secret in every namespace, named by every service account."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.kit.options import child
from infra.naming import NAMESPACES, OWNER_LABELS

PULL_SECRET: Final = "image-pull"  # noqa: S105 - a name
"""Explicit, since service accounts refer to it. Kubernetes copies the reference from an account to each of its pods."""


def docker_config(logins: Mapping[str, str]) -> str:
    """Return the logins (``user:password`` by registry) as the file that container tools read them from."""
    auths = {registry: {"auth": base64.b64encode(login.encode()).decode()} for registry, login in logins.items()}
    return json.dumps({"auths": auths}, sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class PullSecretsArgs:
    """The logins by registry, secret."""

    logins: pulumi.Output[Mapping[str, str]]


class PullSecrets(pulumi.ComponentResource):
    """One Secret in each namespace."""

    def __init__(self, name: str, args: PullSecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:parts:PullSecrets", name, {}, opts)
        for namespace in NAMESPACES:
            Secret(
                f"{name}-{namespace}",
                metadata=ObjectMetaArgs(name=PULL_SECRET, namespace=namespace, labels=OWNER_LABELS),
                type="kubernetes.io/dockerconfigjson",
                string_data={".dockerconfigjson": args.logins.apply(docker_config)},
                opts=child(self),
            )
        self.register_outputs({})
