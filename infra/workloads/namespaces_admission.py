"""Admission policies for a namespace whose pods may mount paths of their nodes, where Pod Security is not enough.

Pod Security has only three levels, and host paths need the lowest, which requires nothing. So the API server's own
admission policies (in CEL) require the rest of `restricted` there, and that host paths are mounted read-only.
"""

from __future__ import annotations

from typing import Final

from pulumi_kubernetes.admissionregistration.v1 import (
    MatchResourcesArgs,
    NamedRuleWithOperationsArgs,
    ValidatingAdmissionPolicyBindingSpecArgs,
    ValidatingAdmissionPolicySpecArgs,
    ValidationArgs,
    VariableArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs

CONTAINERS: Final = (
    "object.spec.containers + object.spec.?initContainers.orValue([]) + object.spec.?ephemeralContainers.orValue([])"
)
_EACH: Final = "variables.containers.all(c, {})"
RULES: Final = {
    "no namespace of its node": (
        "!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) "
        "&& !object.spec.?hostIPC.orValue(false)"
    ),
    "no port of its node": _EACH.format("c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0)"),
    "no privileged container": _EACH.format("!c.?securityContext.?privileged.orValue(false)"),
    "no way to more privileges": _EACH.format("!c.?securityContext.?allowPrivilegeEscalation.orValue(true)"),
    "no capability": _EACH.format(
        "c.?securityContext.?capabilities.?drop.orValue([]).exists(d, d == 'ALL') "
        "&& c.?securityContext.?capabilities.?add.orValue([]).size() == 0"
    ),
    "no root user": _EACH.format(
        "c.?securityContext.?runAsNonRoot.orValue(object.spec.?securityContext.?runAsNonRoot.orValue(false))"
    ),
    "a seccomp profile": _EACH.format(
        "c.?securityContext.?seccompProfile.?type"
        ".orValue(object.spec.?securityContext.?seccompProfile.?type.orValue('Unconfined')) != 'Unconfined'"
    ),
    "host paths read-only": (
        "object.spec.?volumes.orValue([]).filter(v, has(v.hostPath)).all(v, variables.containers.all(c, "
        "c.?volumeMounts.orValue([]).all(m, m.name != v.name || m.?readOnly.orValue(false))))"
    ),
}
"""What is required of a pod, and the CEL expression that checks it."""


def guard(namespace: str) -> ValidatingAdmissionPolicySpecArgs:
    """Return the policy for the pods of one namespace; a pod that it cannot evaluate is refused."""
    return ValidatingAdmissionPolicySpecArgs(
        failure_policy="Fail",
        match_constraints=MatchResourcesArgs(
            namespace_selector=LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": namespace}),
            resource_rules=[
                NamedRuleWithOperationsArgs(
                    api_groups=[""],
                    api_versions=["v1"],
                    operations=["CREATE", "UPDATE"],
                    resources=["pods", "pods/ephemeralcontainers"],
                )
            ],
        ),
        variables=[VariableArgs(name="containers", expression=CONTAINERS)],
        validations=[
            ValidationArgs(
                expression=expression, message=f"{namespace} has only what node-exporter needs: {rule} is demanded"
            )
            for rule, expression in RULES.items()
        ],
    )


def binding(policy: str) -> ValidatingAdmissionPolicyBindingSpecArgs:
    """Return the binding that puts the policy in force."""
    return ValidatingAdmissionPolicyBindingSpecArgs(policy_name=policy, validation_actions=["Deny"])
