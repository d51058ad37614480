"""A stand-in for the `aws` provider: it stores resources as requested and adds the outputs that AWS would compute.

It refuses what `aws_refusals` lists, and has two more of AWS's rules: some inputs cannot change in place (for the
kinds that hold state or that much depends on, as the real provider's schema marks them), and a protected instance or
cluster cannot be deleted.
"""

from __future__ import annotations

import json
import uuid

from support.engine.aws_refusals import refusal
from support.engine.kubernetes import differing
from support.engine.provider import Asked, Change, Journal, Provider, ProviderError
from support.engine.wire import Properties, revealed

ACCOUNT = "000000000000"
REGION = "eu-central-1"
ZONES = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
REPLACING: dict[str, tuple[str, ...]] = {
    "Addon": ("addonName", "clusterName"),
    "Bucket": ("bucket", "objectLockEnabled"),
    "Certificate": ("domainName", "keyAlgorithm", "subjectAlternativeNames", "validationMethod"),
    "Instance": (
        "availabilityZone",
        "dbSubnetGroupName",
        "engine",
        "identifier",
        "kmsKeyId",
        "storageEncrypted",
        "username",
    ),
    "Key": ("customerMasterKeySpec", "keyUsage"),
    "LogGroup": ("name",),
    "NatGateway": ("allocationId", "subnetId"),
    "Repository": ("encryptionConfigurations", "name"),
    "Route": ("destinationCidrBlock", "routeTableId"),
    "Secret": ("name", "namePrefix"),
    "SecretVersion": ("secretId", "secretString"),
    "Subnet": ("availabilityZone", "cidrBlock", "vpcId"),
    "Vpc": ("cidrBlock", "instanceTenancy"),
    "Zone": ("name",),
}
DELETION = "deletionProtection"


class Aws(Provider):
    """Every resource of one account, in memory."""

    def __init__(self, journal: Journal) -> None:
        super().__init__("aws", journal)
        self.resources: dict[str, Properties] = {}

    def check(self, asked: Asked) -> Properties:
        return asked.new

    def diff(self, asked: Asked) -> Change:
        paths = tuple(differing(revealed(asked.old), revealed(asked.new)))
        final = REPLACING.get(asked.kind, ())
        replacing = tuple(
            path for path in paths if any(path == f or path.startswith((f"{f}.", f"{f}[")) for f in final)
        )
        return Change(paths=paths, replacing=replacing)

    def create(self, asked: Asked) -> tuple[str, Properties]:
        identity = self._identity(asked)
        if identity in self.resources:
            raise ProviderError(f"{asked.kind} {identity} already exists")
        self._accept(asked)
        return identity, self._outputs(asked, identity)

    def update(self, asked: Asked) -> Properties:
        self._accept(asked)
        return self._outputs(asked, self._identity(asked))

    def _accept(self, asked: Asked) -> None:
        inputs = revealed(asked.new)
        problem = refusal(asked.kind, inputs)
        if problem is not None:
            raise ProviderError(problem)
        self.resources[self._identity(asked)] = inputs

    def delete(self, asked: Asked) -> None:
        if revealed(asked.old).get(DELETION):
            raise ProviderError(f"{asked.kind} {asked.name} is protected against deletion")
        self.resources.pop(self._identity(asked), None)

    def read(self, asked: Asked) -> tuple[Properties, Properties] | None:
        return (asked.old, asked.state) if self._identity(asked) in self.resources else None

    def invoke(self, token: str) -> Properties:
        """Answer a function call of the program."""
        match token.rpartition(":")[2]:
            case "getCallerIdentity":
                return {
                    "accountId": ACCOUNT,
                    "arn": f"arn:aws:iam::{ACCOUNT}:role/deploy",
                    "userId": "x",
                    "id": ACCOUNT,
                }
            case "getAvailabilityZones":
                return {"names": list(reversed(ZONES)), "zoneIds": [], "groupNames": [], "id": REGION}
            case other:
                raise ProviderError(f"the stand-in does not answer {other}")

    def _identity(self, asked: Asked) -> str:
        """The logical name, unique within its kind, with a digest of the inputs that cannot change in place."""
        inputs = revealed(asked.new or asked.old)
        if asked.kind == "Bucket":
            return str(inputs["bucket"])
        content = json.dumps(
            {key: inputs.get(key) for key in REPLACING.get(asked.kind, ())}, sort_keys=True, default=str
        )
        return f"{asked.kind}/{asked.name}/{uuid.uuid5(uuid.NAMESPACE_OID, content).hex[:8]}"

    def _outputs(self, asked: Asked, identity: str) -> Properties:
        inputs = revealed(asked.new)
        service = asked.type.split(":")[1].split("/")[0]
        arn = f"arn:aws:{service}:{REGION}:{ACCOUNT}:{identity}"
        if asked.kind == "Bucket":
            arn = f"arn:aws:s3:::{identity}"
        return asked.new | {"arn": arn} | _computed(asked, inputs)


def _computed(asked: Asked, inputs: Properties) -> Properties:
    """Outputs that AWS computes and the program reads."""
    hosts = [inputs.get("domainName"), *inputs.get("subjectAlternativeNames", [])]
    proof = {"resourceRecordType": "CNAME", "resourceRecordValue": "_proof.acm.example.com"}
    by_kind: dict[str, Properties] = {
        "Certificate": {
            "domainValidationOptions": [
                {"domainName": host, "resourceRecordName": f"_proof.{host}", **proof} for host in hosts
            ]
        },
        "Eip": {"allocationId": f"eipalloc-{asked.name}"},
        "EventRule": {"name": asked.name},
        "Instance": {
            "address": "postgres.rds.example.com",
            "masterUserSecrets": [{"secretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db"}],
        },
        "Key": {"keyId": asked.name},
        "LaunchTemplate": {"latestVersion": 1},
        "ParameterGroup": {"name": asked.name},
        "Record": {"fqdn": inputs.get("name")},
        "Repository": {"name": inputs.get("name")},
        "Role": {"name": inputs.get("name", asked.name)},
        "SubnetGroup": {"name": asked.name},
        "Zone": {"zoneId": f"Z{asked.name}", "nameServers": ["ns1.example.com"]},
    }
    return by_kind.get(asked.kind, {})


def cluster_outputs(inputs: Properties) -> Properties:
    """Outputs of the component of `pulumi_eks` that the program reads."""
    issuer = f"oidc.eks.{REGION}.amazonaws.com/id/{inputs['name']}"
    return {
        "kubeconfigJson": json.dumps({"clusters": [], "contexts": [], "current-context": "", "users": []}),
        "kubeconfig": {},
        "oidcIssuer": issuer,
        "oidcProviderUrl": f"https://{issuer}",
        "oidcProviderArn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}",
        "clusterSecurityGroupId": "sg-cluster",
        "nodeSecurityGroupId": "sg-cluster",
        "autoModeNodeRoleName": "",
    }
