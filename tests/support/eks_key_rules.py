"""Rules about the keys and roles with which a recorded stack's nodes and volumes come to be: one line per violation."""

from __future__ import annotations

import json
from typing import Final

from support.aws_rules import Json, of

from ops.stack.recording import Recording

AUTO_SCALING: Final = "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
LAUNCHING: Final = {
    "kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
}  # fmt: skip
"""What Auto Scaling does with the key of a node's disk: EC2 Auto Scaling's guide, "Required AWS KMS key policy for use
with encrypted volumes", whose `ReEncrypt*` and `GenerateDataKey*` are written out."""
ENCRYPTING: Final = {
    "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
}  # fmt: skip
"""What whoever creates a volume does with its key: EBS' guide, "Requirements for Amazon EBS encryption"."""
GRANT: Final = "kms:CreateGrant"
FOR_SERVICES: Final = {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def _missing(statements: list[Json], needed: set[str]) -> list[str]:
    """The actions that statements don't allow, and grants unless they are for services of AWS alone."""
    allowed = {action for each in statements if not each.get("Condition") for action in each["Action"]}
    grants = [each for each in statements if GRANT in each["Action"] and each.get("Condition") == FOR_SERVICES]
    return sorted(needed - allowed) + ([] if grants else [GRANT])


def nodes_have_their_key(recording: Recording) -> list[str]:
    """Auto Scaling may use the key of the disks that it launches nodes with; no policy of AWS gives it ours."""
    used = {item.inputs["launchTemplate"]["id"] for item in of(recording, "NodeGroup")}
    keys = {item.outputs["arn"]: json.loads(item.inputs["policy"])["Statement"] for item in of(recording, "Key")}
    violations = []
    for template in of(recording, "LaunchTemplate"):
        if f"{template.name}-id" in used:
            for mapping in template.inputs["blockDeviceMappings"]:
                own = [each for each in keys[mapping["ebs"]["kmsKeyId"]] if _names(each, AUTO_SCALING)]
                violations += [f"{template.name}: {action}" for action in _missing(own, LAUNCHING)]
    return violations


def _names(statement: Json, role: str) -> bool:
    principals = statement.get("Principal", {}).get("AWS", [])
    return any(arn.endswith(f":{role}") for arn in principals)


def volumes_have_their_key(recording: Recording) -> list[str]:
    """Whoever creates the volumes of a storage class may use its key: the driver's role, or the cluster's."""
    violations = []
    for item in recording.resources:
        if item.type == "kubernetes:storage.k8s.io/v1:StorageClass":
            auto = item.inputs["provisioner"] == "ebs.csi.eks.amazonaws.com"
            role = "compute-cluster-roles-cluster-id" if auto else f"{_role_of(recording, *DRIVER)}-id"
            key = item.inputs["parameters"]["kmsKeyId"]
            own = [
                statement
                for policy in of(recording, "RolePolicy")
                if policy.inputs["role"] == role
                for statement in json.loads(policy.inputs["policy"])["Statement"]
                if key in statement["Resource"]
            ]
            violations += [f"{item.name}: {action}" for action in _missing(own, ENCRYPTING)]
    return violations


DRIVER: Final = ("kube-system", "ebs-csi-controller-sa")
"""Namespace and account of the driver of volumes (kubernetes-sigs/aws-ebs-csi-driver)."""


def _role_of(recording: Recording, namespace: str, account: str) -> str:
    """The name of the role that a service account gets, by its association or by its token."""
    for item in of(recording, "PodIdentityAssociation"):
        if (item.inputs["namespace"], item.inputs["serviceAccount"]) == (namespace, account):
            return str(item.inputs["roleArn"].rpartition("/")[2])
    subject = f"system:serviceaccount:{namespace}:{account}"
    roles = [item.name for item in of(recording, "Role") if f'"{subject}"' in item.inputs["assumeRolePolicy"]]
    return roles[0] if roles else ""


def addon_roles_trust_tokens(recording: Recording) -> list[str]:
    """The role of an add-on's annotation trusts tokens; with Pod Identity the association is all that it needs.

    The annotation makes EKS give the pod a token, which AWS's SDKs try before the role of an association
    (AWS SDKs and Tools Reference Guide, "Standardized credential providers").
    """
    trusts = {item.outputs["arn"]: item.inputs["assumeRolePolicy"] for item in of(recording, "Role")}
    return [
        item.name
        for item in of(recording, "Addon")
        if (arn := item.inputs.get("serviceAccountRoleArn")) and "sts:AssumeRoleWithWebIdentity" not in trusts[arn]
    ]
