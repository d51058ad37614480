"""The permission boundary on every role of the stack: without it, whoever deploys could create an administrator.

`ops.stack.bootstrap` creates the boundary beforehand, and allows a deployment to create roles only with it and only
under the stack's own names. A transformation puts both on every role, so that no component can forget them.
"""

from __future__ import annotations

from typing import Final

import pulumi

from infra.aws.scope import Scope
from infra.naming import boundary_name

ROLE: Final = "aws:iam/role:Role"
LONGEST_PREFIX: Final = 38
"""Characters; the provider adds 26 of its own, and IAM allows 64 (hashicorp/terraform-provider-aws, iam_role)."""


def on_every_role(scope: Scope) -> pulumi.ResourceTransformation:
    """Return what gives each role the stack's boundary, and a name that begins with the stack's."""
    arn = f"arn:aws:iam::{scope.account.id}:policy/{boundary_name(scope.settings.stack)}"

    def bounded(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != ROLE:
            return None
        prefix = f"{scope.prefix}-{args.name}"[: LONGEST_PREFIX - 1] + "-"
        props = {**args.props, "permissions_boundary": arn, "name_prefix": prefix}
        return pulumi.ResourceTransformationResult(props=props, opts=args.opts)

    return bounded
