"""A rule over the policies of endpoints, which grant nothing and are no affair of the rules about rights."""

from __future__ import annotations

import json

from support.aws_rules import of

from ops.stack.recording import Recording


def passing(recording: Recording) -> list[str]:
    """Endpoints let pass only this account's identities, reads of objects, and pods that take a role of the account."""
    violations = []
    for item in of(recording, "VpcEndpoint"):
        policy = item.inputs.get("policy")
        if not policy:
            violations.append(f"{item.name}: without a policy everything passes")
            continue
        for statement in json.loads(policy)["Statement"]:
            equal = statement.get("Condition", {}).get("StringEquals", {})
            of_account = equal.get("aws:PrincipalAccount", "").isdigit()
            takes_role = statement["Action"] == "sts:AssumeRoleWithWebIdentity" and ":role/" in statement["Resource"]
            if statement["Effect"] == "Allow" and not (
                of_account or takes_role or statement["Action"] == "s3:GetObject"
            ):
                violations.append(f"{item.name} {statement['Sid']}: passes for identities of any account")
    return violations
