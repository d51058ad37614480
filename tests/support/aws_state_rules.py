"""Rules over what must outlive a refresh, a rotation or a region; each returns one line per violation."""

from __future__ import annotations

import json
from typing import Final

from support.aws_rules import of
from support.recorder import objects, under

from ops.stack.recording import Recording

LONGEST_BUCKET: Final = 63
"""Characters (S3 user guide, "General purpose bucket naming rules")."""


def removable_clients(recording: Recording) -> list[str]:
    """Taking a client off the list must not fail at a protected secret, and must not leave the secret behind."""
    clients = [item for item in of(recording, "Secret") if "churn:client" in (item.inputs.get("tags") or {})]
    return [item.name for item in clients if item.protect or item.retain_on_delete] if clients else ["no client"]


def regional_buckets(recording: Recording) -> list[str]:
    """Each bucket has its region in its name: names are unique in the world, and those of a lost region stay taken."""
    regions = {
        json.loads(item.inputs["region"]) if item.inputs["region"].startswith('"') else item.inputs["region"]
        for item in recording.resources
        if item.type == "pulumi:providers:aws"
    }
    return [
        item.outputs["bucket"]
        for item in of(recording, "Bucket")
        if not item.outputs["bucket"].endswith(f"-{item.inputs.get('region') or next(iter(regions))}")
        or len(item.outputs["bucket"]) > LONGEST_BUCKET
    ]


def copied_images(recording: Recording) -> list[str]:
    """Where backups have a second copy, the project's images are copied to its region too."""
    copies = {item.inputs["region"] for item in of(recording, "Bucket") if item.inputs.get("region")}
    rules = [
        rule
        for item in of(recording, "ReplicationConfiguration")
        for rule in item.inputs["replicationConfiguration"]["rules"]
        if {"filter": "churn/", "filterType": "PREFIX_MATCH"} in rule["repositoryFilters"]
    ]
    reached = {destination["region"] for rule in rules for destination in rule["destinations"]}
    return sorted(copies ^ reached)


def copied_database(recording: Recording) -> list[str]:
    """Where backups have a second copy, those of RDS do too: in its region, with a key of it, as long as the first."""
    copies = {item.inputs["region"] for item in of(recording, "Bucket") if item.inputs.get("region")}
    keys = {item.outputs["arn"]: item.inputs.get("region") for item in of(recording, "Key")}
    replications = {
        item.inputs["sourceDbInstanceArn"]: item for item in of(recording, "InstanceAutomatedBackupsReplication")
    }
    violations = []
    for item in of(recording, "Instance") if copies else ():
        copy = replications.get(item.outputs["arn"])
        if copy is None:
            violations.append(f"{item.name}: no copy")
            continue
        checks = {
            "region": copy.inputs.get("region") in copies,
            "key": keys.get(copy.inputs.get("kmsKeyId")) == copy.inputs.get("region"),
            "days": copy.inputs.get("retentionPeriod") == item.inputs["backupRetentionPeriod"],
        }
        violations += [f"{item.name}: {what}" for what, good in checks.items() if not good]
    return violations


def copied_secrets(recording: Recording) -> list[str]:
    """Where backups have a second copy, each secret has one in its region, with a key of that region."""
    copies = {item.inputs["region"] for item in of(recording, "Bucket") if item.inputs.get("region")}
    keys = {item.outputs["arn"]: item.inputs.get("region") for item in of(recording, "Key")}
    violations = []
    for item in of(recording, "Secret"):
        replicas = item.inputs.get("replicas") or []
        if {replica["region"] for replica in replicas} != copies:
            violations.append(f"{item.name}: regions")
        if any(keys.get(replica.get("kmsKeyId")) != replica["region"] for replica in replicas):
            violations.append(f"{item.name}: key")
    return violations


def values_outside(recording: Recording) -> list[str]:
    """The program holds no value of a secret in Secrets Manager, and pods wait for the call that makes the first ones.

    A version in the state is read by its id and found lost after two later writes (hashicorp/terraform-provider-aws,
    `internal/service/secretsmanager/secret_version.go` and issue 37302); `secretStringWo` stays in the state's inputs
    under Pulumi (pulumi/pulumi-terraform-bridge issue 3201).
    """
    violations = [f"{item.name}: a version" for item in of(recording, "SecretVersion")]
    calls = {item.urn: json.loads(item.inputs["input"]) for item in of(recording, "Invocation")}
    filled = {
        arn for call in calls.values() for arn in (call["keys_secret"], *call["secrets"], *call["clients"].values())
    }
    violations += [f"{item.name}: no value" for item in of(recording, "Secret") if item.outputs["arn"] not in filled]
    waiting = under(recording, {item.urn for item in recording.resources if set(item.depends_on) & set(calls)})
    return violations + [
        f"{item.name}: does not wait for the values"
        for item in objects(recording, "SecretProviderClass")
        if item.urn not in waiting
    ]
