"""Values that AWS would generate, for recordings: identifiers and addresses of an account that does not exist."""

from __future__ import annotations

from typing import Any, Final

from pulumi.runtime import mocks

ACCOUNT: Final = "000000000000"
_ARN: Final = "arn:aws"


def generated_values(args: mocks.MockResourceArgs) -> dict[str, Any]:
    """Return the outputs of an AWS resource beyond its inputs; nothing for any other resource."""
    if args.typ == "eks:index:Cluster":
        return _cluster(args)
    if args.typ == "random:index/randomString:RandomString":
        return {"result": "recorded"}
    if not args.typ.startswith("aws:"):
        return {}
    service, kind = args.typ.split(":")[1].split("/")[0], args.typ.split(":")[-1]
    return {"arn": _arn(service, args), **_special(kind, args)}


def _arn(service: str, args: mocks.MockResourceArgs) -> str:
    """Build an ARN in the form of its service, as far as the program or a policy uses it."""
    region = args.inputs.get("region") or "eu-central-1"
    match args.typ.split(":")[-1]:
        case "Bucket":
            rest = f"s3:::{args.inputs['bucket']}"
        case "Role":
            rest = f"iam::{ACCOUNT}:role/{args.name}"
        case "LogGroup":
            rest = f"logs:{region}:{ACCOUNT}:log-group:{args.inputs['name']}"
        case "Secret":
            rest = f"secretsmanager:{region}:{ACCOUNT}:secret:{args.inputs['namePrefix']}recorded"
        case kind:
            rest = f"{service}:{region}:{ACCOUNT}:{kind.lower()}/{args.name}"
    return f"{_ARN}:{rest}"


def _special(kind: str, args: mocks.MockResourceArgs) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    match kind:
        case "Bucket":
            outputs = {"id": args.inputs["bucket"]}
        case "Key":
            outputs = {"keyId": args.name}
        case "Role" | "SubnetGroup" | "ParameterGroup" | "EventRule" | "Repository":
            outputs = {"name": args.inputs.get("name", args.name)}
        case "Eip":
            outputs = {"allocationId": f"{args.name}-allocation"}
        case "LaunchTemplate":
            outputs = {"latestVersion": 1}
        case "Instance":
            secret = f"{_ARN}:secretsmanager:eu-central-1:{ACCOUNT}:secret:rds!db-recorded"
            outputs = {"address": "postgres.rds.example.com", "masterUserSecrets": [{"secretArn": secret}]}
        case "Zone":
            outputs = {"zoneId": f"{args.name}-zone", "nameServers": ["ns1.example.com", "ns2.example.com"]}
        case "Certificate":
            hosts = [args.inputs["domainName"], *args.inputs.get("subjectAlternativeNames", [])]
            outputs = {"domainValidationOptions": [_proof(host) for host in hosts]}
        case "Record":
            outputs = {"fqdn": args.inputs["name"]}
    return outputs


def _proof(host: str) -> dict[str, str]:
    return {
        "domainName": host,
        "resourceRecordName": f"_proof.{host}",
        "resourceRecordType": "CNAME",
        "resourceRecordValue": "_proof.acm.example.com",
    }


def _cluster(args: mocks.MockResourceArgs) -> dict[str, Any]:
    """Return the outputs of the `pulumi_eks` component, as far as the program reads them."""
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
