"""What AWS would have made, in recordings: identifiers and addresses of an account that does not exist."""

from __future__ import annotations

from typing import Any, Final

from pulumi.runtime import mocks

ACCOUNT: Final = "000000000000"
_ARN: Final = "arn:aws"


def made_values(args: mocks.MockResourceArgs) -> dict[str, Any]:
    """Outputs of a resource of AWS beyond its inputs; none for any other."""
    if args.typ == "eks:index:Cluster":
        return _cluster(args)
    if not args.typ.startswith("aws:"):
        return {}
    service, kind = args.typ.split(":")[1].split("/")[0], args.typ.split(":")[-1]
    return {"arn": _arn(service, args), **_special(kind, args)}


def _arn(service: str, args: mocks.MockResourceArgs) -> str:
    """Of the form that its service has, as far as the program or a policy makes use of it."""
    region = args.inputs.get("region") or "eu-central-1"
    match args.typ.split(":")[-1]:
        case "Bucket":
            found = f"s3:::{args.inputs['bucket']}"
        case "Role":
            found = f"iam::{ACCOUNT}:role/{args.name}"
        case "LogGroup":
            found = f"logs:{region}:{ACCOUNT}:log-group:{args.inputs['name']}"
        case "Secret":
            found = f"secretsmanager:{region}:{ACCOUNT}:secret:{args.inputs['namePrefix']}recorded"
        case kind:
            found = f"{service}:{region}:{ACCOUNT}:{kind.lower()}/{args.name}"
    return f"{_ARN}:{found}"


def _special(kind: str, args: mocks.MockResourceArgs) -> dict[str, Any]:
    found: dict[str, Any] = {}
    match kind:
        case "Bucket":
            found = {"id": args.inputs["bucket"]}
        case "Key":
            found = {"keyId": args.name}
        case "Role" | "SubnetGroup" | "ParameterGroup" | "EventRule" | "Repository":
            found = {"name": args.inputs.get("name", args.name)}
        case "Eip":
            found = {"allocationId": f"{args.name}-allocation"}
        case "LaunchTemplate":
            found = {"latestVersion": 1}
        case "Instance":
            secret = f"{_ARN}:secretsmanager:eu-central-1:{ACCOUNT}:secret:rds!db-recorded"
            found = {"address": "postgres.rds.example.com", "masterUserSecrets": [{"secretArn": secret}]}
        case "Zone":
            found = {"zoneId": f"{args.name}-zone", "nameServers": ["ns1.example.com", "ns2.example.com"]}
        case "Certificate":
            hosts = [args.inputs["domainName"], *args.inputs.get("subjectAlternativeNames", [])]
            found = {"domainValidationOptions": [_proof(host) for host in hosts]}
        case "Record":
            found = {"fqdn": args.inputs["name"]}
    return found


def _proof(host: str) -> dict[str, str]:
    return {
        "domainName": host,
        "resourceRecordName": f"_proof.{host}",
        "resourceRecordType": "CNAME",
        "resourceRecordValue": "_proof.acm.example.com",
    }


def _cluster(args: mocks.MockResourceArgs) -> dict[str, Any]:
    """Of the component that `pulumi_eks` makes in a provider of its own: only what the program reads."""
    issuer = "oidc.eks.eu-central-1.amazonaws.com/id/RECORDED"
    return {
        "kubeconfigJson": "{}",
        "kubeconfig": {},
        "oidcIssuer": issuer,
        "oidcProviderUrl": f"https://{issuer}",
        "oidcProviderArn": f"{_ARN}:iam::{ACCOUNT}:oidc-provider/{issuer}",
        "clusterSecurityGroupId": f"{args.name}-security-group",
        "nodeSecurityGroupId": f"{args.name}-security-group",
        "autoModeNodeRoleName": "",
    }
