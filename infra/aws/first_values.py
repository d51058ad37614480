"""First values of all secrets, and the clients' places in the key file: made by a call of the rotation function.

The call is a resource, so it happens in the middle of `pulumi up`: after the secrets exist, and before a pod or a
rotation needs their values. It happens again whenever what it asks for changes, such as the list of clients, and at no
other time: neither a refresh nor the resource's deletion calls the function (hashicorp/terraform-provider-aws,
`internal/service/lambda/invocation.go`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import lambda_

from infra.aws.secret_store import SecretStore
from infra.kit.options import child
from infra.secret_files import API_KEYS

SCOPES: Final = ("predict",)
"""What the key of a new client may do."""


@dataclass(frozen=True, kw_only=True)
class FirstValuesArgs:
    """The secrets, the function, and the rights that it must have before it is called."""

    store: SecretStore
    function: lambda_.Function
    rights: pulumi.Resource


def call(parent: pulumi.Resource, name: str, args: FirstValuesArgs) -> lambda_.Invocation:
    """Have the function make what is missing."""
    arns = args.store.own()
    secrets = pulumi.Output.all(
        *(pulumi.Output.all(arn=arns[secret], files=files) for secret, files in args.store.templates.items())
    ).apply(lambda known: {secret["arn"]: secret["files"] for secret in known})
    request = {
        "action": "reconcile",
        "secrets": secrets,
        "keys_secret": arns[API_KEYS.name],
        "clients": args.store.clients,
        "scopes": list(SCOPES),
    }
    return lambda_.Invocation(
        f"{name}-first-values",
        function_name=args.function.name,
        input=pulumi.Output.json_dumps(request),
        opts=child(parent, after=[args.rights]),
    )
