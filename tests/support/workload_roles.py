"""The roles of a recorded stack's service accounts, with the rights that the stack gives them."""

from __future__ import annotations

import re
from typing import Final

from support.aws_rules import documents
from support.iam import Identity

from ops.stack.recording import Recording

ACCOUNT: Final = "000000000000"
POLICY: Final = re.compile(r"identity-(?P<workload>.+)-policy")


def workload_roles(recording: Recording) -> dict[str, Identity]:
    """The role of each workload, by the workload's name."""
    policies = {
        match["workload"]: document["Statement"]
        for item, _, document in documents(recording)
        if (match := POLICY.fullmatch(item.name))
    }
    return {
        workload: Identity(arn=f"arn:aws:iam::{ACCOUNT}:role/{workload}", statements=statements)
        for workload, statements in policies.items()
    }
