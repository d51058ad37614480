"""A stand-in for the `aws` provider: it stores resources as requested and adds the outputs that AWS would compute.

It has those of AWS's rules that the program depends on. Some inputs cannot change in place (for the kinds that hold
state or that much depends on, as the real provider's schema marks them). A protected instance or cluster cannot be
deleted. The log group of a cluster or database comes back after it is deleted, since the service writes its last lines
then. A final snapshot stays, and no other can have its name. A cluster goes up by one minor version at a time. Secrets
Manager forgets old versions of a secret. A database is known by its resource id, whatever its name is. A call of the
rotation function runs the function's own code.
It refuses what `aws_refusals` lists, too.
"""

from __future__ import annotations

import json
import uuid

from support.engine.aws_refusals import refusal
from support.engine.kubernetes import differing
from support.engine.provider import Asked, Change, Journal, Provider, ProviderError
from support.engine.secrets_manager import ResourceNotFoundException, SecretsManager
from support.engine.wire import Properties, revealed

from ops.jobs.rotation import reconcile
from ops.jobs.rotation.options import RotationError
from ops.jobs.rotation.secrets_manager import SecretsManager as Client

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
    "Invocation": ("functionName", "input", "triggers"),
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
REVIVING = ("/aws/eks/", "/aws/rds/")
"""Log groups that come back: terraform-aws-eks #920, #2446 and #2763; the same is assumed of RDS."""


class Aws(Provider):
    """Every resource of one account, in memory."""

    def __init__(self, journal: Journal) -> None:
        super().__init__("aws", journal)
        self.resources: dict[str, Properties] = {}
        self.revived: set[str] = set()
        """Names of log groups that services have created again."""
        self.snapshots: set[str] = set()
        self.secrets = SecretsManager()
        self.databases: dict[str, str] = {}
        """Names of the database instances by their resource ids."""

    def check(self, asked: Asked) -> Properties:
        return asked.new

    def diff(self, asked: Asked) -> Change:
        paths = tuple(differing(revealed(asked.old), revealed(asked.new)))
        final = REPLACING.get(asked.kind, ())
        replacing = tuple(
            path for path in paths if any(path == f or path.startswith((f"{f}.", f"{f}[")) for f in final)
        )
        return Change(paths=paths, replacing=replacing)

    def restore_database(self) -> str:
        """Put another instance under the name of the only one, which keeps its id; returns the new one's id."""
        ((first, name),) = self.databases.items()
        self.databases = {first: f"{name}-replaced", f"db-{uuid.uuid4().hex.upper()}": name}
        return next(identity for identity, each in self.databases.items() if each == name)

    def create(self, asked: Asked) -> tuple[str, Properties]:
        identity = self._identity(asked)
        if identity in self.resources:
            raise ProviderError(f"{asked.kind} {identity} already exists")
        if asked.kind == "LogGroup" and revealed(asked.new)["name"] in self.revived:
            raise ProviderError("ResourceAlreadyExistsException: The specified log group already exists")
        self._accept(asked)
        outputs = self._outputs(asked, identity)
        outputs |= self._effect(asked, outputs)
        return outputs.get("resourceId", identity), outputs

    def update(self, asked: Asked) -> Properties:
        identity, new = self._identity(asked), revealed(asked.new)
        if asked.kind == "Cluster":
            before = self.resources[identity]["version"]
            if _minor(new["version"]) - _minor(before) not in {0, 1}:
                raise ProviderError(f"Unsupported Kubernetes minor version update from {before} to {new['version']}")
        self._accept(asked)
        return self._outputs(asked, identity)

    def _accept(self, asked: Asked) -> None:
        inputs = revealed(asked.new)
        problem = refusal(asked.kind, inputs)
        if problem is not None:
            raise ProviderError(problem)
        self.resources[self._identity(asked)] = inputs

    def delete(self, asked: Asked) -> None:
        if revealed(asked.old).get(DELETION):
            raise ProviderError(f"{asked.kind} {asked.name} is protected against deletion")
        self._leave_behind(asked.kind, revealed(asked.old))
        self.resources.pop(self._identity(asked), None)
        self.databases.pop(asked.identity, None)
        if asked.kind == "Secret":
            self.secrets.forget(self._outputs(Asked(type=asked.type, name=asked.name, new=asked.old),
                                              self._identity(asked))["arn"])  # fmt: skip

    def _leave_behind(self, kind: str, inputs: Properties) -> None:
        if kind == "LogGroup" and inputs["name"].startswith(REVIVING):
            self.revived.add(inputs["name"])
        if kind == "Instance" and not inputs.get("skipFinalSnapshot"):
            name = inputs.get("finalSnapshotIdentifier")
            if not name:
                raise ProviderError("final_snapshot_identifier is required when skip_final_snapshot is false")
            if name in self.snapshots:
                raise ProviderError(f"DBSnapshotAlreadyExists: Cannot create the snapshot because {name} exists")
            self.snapshots.add(name)

    def read(self, asked: Asked) -> tuple[Properties, Properties] | None:
        if asked.kind == "SecretVersion":
            return self._version(asked)
        if asked.kind == "Instance":
            return self._database(asked)
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

    def _effect(self, asked: Asked, outputs: Properties) -> Properties:
        """Do what creating a resource does beside storing it; returns further outputs."""
        inputs = revealed(asked.new)
        match asked.kind:
            case "Instance":
                identity = f"db-{uuid.uuid4().hex.upper()}"
                self.databases[identity] = inputs["identifier"]
                return {"resourceId": identity}
            case "Secret":
                self.secrets.create(outputs["arn"])
            case "SecretVersion":
                return {"versionId": self.secrets.put_secret_value(
                    SecretId=inputs["secretId"], SecretString=inputs["secretString"])["VersionId"]}  # fmt: skip
            case "Invocation":
                request = reconcile.Request.read(json.loads(inputs["input"]))
                try:
                    result = reconcile.Reconciliation(manager=Client(self.secrets), request=request).run()
                except RotationError as error:
                    raise ProviderError(f"invoking Lambda Function: {error}") from None
                return {"result": json.dumps(result)}
        return {}

    def _database(self, asked: Asked) -> tuple[Properties, Properties] | None:
        """Read an instance by its resource id, under whatever name it has now (provider 5.0, `aws_db_instance.id`)."""
        name = self.databases.get(asked.identity)
        now = {"identifier": name}
        return None if name is None else (asked.old | now, asked.state | now | {"resourceId": asked.identity})

    def _version(self, asked: Asked) -> tuple[Properties, Properties] | None:
        """Read a version by its id, as the real provider does: one that is forgotten does not exist any more."""
        state = revealed(asked.state)
        try:
            self.secrets.get_secret_value(SecretId=state["secretId"], VersionId=state["versionId"])
        except ResourceNotFoundException:
            return None
        return asked.old, asked.state

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


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


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
