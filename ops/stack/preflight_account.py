"""Checks of an AWS account before `pulumi up`: its identity, quotas, bootstrap, and the domain's delegation.

Each check takes what `ops.stack.preflight` asks with, and yields findings. An error stops: the stack could not come up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from botocore.exceptions import ClientError

from infra.naming import PROJECT, boundary_name, deploy_role
from infra.placeholders import placeholders
from ops.stack.doctor_checks import Finding, Level
from ops.stack.nameservers import name_servers
from ops.stack.preflight_asked import Asked, Check, finding

ON_DEMAND: Final = ("ec2", "L-1216C47A", "vCPUs of on-demand instances")
SPOT: Final = ("ec2", "L-34B43A08", "vCPUs of spot instances")
ADDRESSES: Final = ("ec2", "L-0263D0A3", "elastic IP addresses")
NETWORKS: Final = ("vpc", "L-F678F1CE", "VPCs")
"""Service, code and name of a quota (`aws service-quotas list-service-quotas`; openshift/rosa, pkg/aws/quota.go)."""
FEW_FUNCTIONS: Final = 100
"""Lambda keeps as many executions unreserved, so that an account with fewer can reserve none."""


def values(asked: Asked) -> Iterator[Finding]:
    """Check that nothing in the stack's file stands for a value of the reader's own."""
    left = placeholders(asked.settings)
    for line in left:
        text, _, remedy = line.partition(": ")
        yield finding("values", Level.ERROR, text, remedy)
    if not left:
        yield finding("values", Level.OK, "no placeholder is left in the stack's file")


def account(asked: Asked) -> Iterator[Finding]:
    """Check that the credentials are of the account that the stack may use."""
    identity = asked.client("sts").get_caller_identity()
    expected, actual = asked.settings.account.account_id, identity["Account"]
    if expected and expected != actual:
        text = f"the credentials are of account {actual}, and churn:account.account_id is {expected}"
        yield finding("account", Level.ERROR, text, "log in to that account, or correct the number")
    elif not expected:
        text = f"churn:account.account_id is empty, and the credentials are of account {actual}"
        yield finding("account", Level.WARNING, text, "set the number, so that a mistake cannot hit another account")
    else:
        yield finding("account", Level.OK, f"{identity['Arn']}")


def zones(asked: Asked) -> Iterator[Finding]:
    """Check that the region has the zones."""
    answer = asked.client("ec2").describe_availability_zones(
        Filters=[{"Name": "opt-in-status", "Values": ["opt-in-not-required"]}]
    )
    names = {zone["ZoneName"] for zone in answer["AvailabilityZones"] if zone["State"] == "available"}
    network = asked.settings.network
    missing = [zone for zone in network.zones if zone not in names]
    shown = ", ".join(sorted(names))
    if missing or len(names) < network.zone_count:
        text = f"churn:network asks for {', '.join(missing) or network.zone_count} zones, and the region has {shown}"
        yield finding("zones", Level.ERROR, text, "choose among those")
    else:
        yield finding("zones", Level.OK, f"the region has {shown}")


def quotas(asked: Asked) -> Iterator[Finding]:
    """Check that the account may have as many processors, addresses and networks as the stack can ask for."""
    eks, network = asked.settings.eks, asked.settings.network
    ec2 = asked.client("ec2")
    on_demand, spot = eks.cpu_limit, eks.spot_cpu_limit
    if eks.nodes == "managed":
        on_demand = spot = eks.managed.max_nodes * _most_processors(ec2, eks.managed.instance_types)
    gateways = 1 if network.nat == "one" else network.zone_count
    addresses = len(ec2.describe_addresses()["Addresses"])
    networks = len(ec2.describe_vpcs()["Vpcs"])
    there = bool(ec2.describe_vpcs(Filters=[{"Name": "tag:churn:stack", "Values": [asked.settings.stack]}])["Vpcs"])
    needed = [
        (ON_DEMAND, on_demand, "lower churn:eks.cpu_limit"),
        (SPOT, spot, "lower churn:eks.spot_cpu_limit"),
        (ADDRESSES, addresses + (0 if there else gateways), "release some, or set churn:network.nat to one"),
        (NETWORKS, networks + (0 if there else 1), "delete one"),
    ]
    for quota, count, otherwise in needed:
        yield _quota(asked, quota, count, otherwise)


def _most_processors(ec2: Any, types: list[str]) -> int:
    answer = ec2.describe_instance_types(InstanceTypes=types)
    return max(int(each["VCpuInfo"]["DefaultVCpus"]) for each in answer["InstanceTypes"])


def _quota(asked: Asked, quota: tuple[str, str, str], count: int, otherwise: str) -> Finding:
    service, code, name = quota
    answer = asked.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)
    limit = answer["Quota"]["Value"]
    if limit >= count:
        return finding("quotas", Level.OK, f"{name}: {limit:.0f} are allowed, up to {count} are needed")
    region = asked.settings.account.region
    command = (
        f"aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} "
        f"--desired-value {count} --region {region}"
    )
    text = f"{name}: {limit:.0f} are allowed, and up to {count} are needed"
    return finding("quotas", Level.ERROR, text, f"ask for more (`{command}`), or {otherwise}")


def functions(asked: Asked) -> Iterator[Finding]:
    """Check how many functions may run at once; new accounts have as few as 10."""
    limits = asked.client("lambda").get_account_settings()["AccountLimit"]
    count = limits["ConcurrentExecutions"]
    if count <= FEW_FUNCTIONS:
        text = f"{count} executions of functions are allowed at once, of which none can be reserved"
        yield finding("functions", Level.WARNING, text, "ask for more under Lambda in the console of Service Quotas")
    else:
        yield finding("functions", Level.OK, f"{count} executions of functions are allowed at once")


def bootstrap(asked: Asked) -> Iterator[Finding]:
    """Check that the boundary exists, without which no role can be created."""
    stack = asked.settings.stack
    account_id = asked.client("sts").get_caller_identity()["Account"]
    arn = f"arn:aws:iam::{account_id}:policy/{boundary_name(stack)}"
    try:
        asked.client("iam").get_policy(PolicyArn=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        remedy = "run `python -m ops.stack.bootstrap` as an administrator"
        yield finding("bootstrap", Level.ERROR, f"there is no policy {boundary_name(stack)}", remedy)
    else:
        yield finding("bootstrap", Level.OK, f"the boundary {boundary_name(stack)} exists")


def delegation(asked: Asked) -> Iterator[Finding]:
    """Check that the zone is the domain's, and that the world finds it; the certificate waits for that."""
    zone_id, domain = asked.settings.edge.hosted_zone_id, asked.settings.ingress.domain
    if not zone_id:
        text = f"the stack creates the zone of {domain}, and the certificate waits until the parent names its servers"
        remedy = "enter the output name_servers at the parent domain during the first `pulumi up`"
        yield finding("delegation", Level.WARNING, text, remedy)
        return
    answer = asked.client("route53").get_hosted_zone(Id=zone_id)
    name = answer["HostedZone"]["Name"].rstrip(".")
    if answer["HostedZone"]["Config"].get("PrivateZone"):
        yield finding("delegation", Level.ERROR, f"{zone_id} is a private zone", "name a public one")
        return
    if domain != name and not domain.endswith(f".{name}"):
        text = f"{zone_id} is the zone of {name}, and churn:ingress.domain is {domain}"
        yield finding("delegation", Level.ERROR, text, "make them agree")
        return
    own, public = set(answer["DelegationSet"]["NameServers"]), name_servers(name)
    if own & public:
        yield finding("delegation", Level.OK, f"{name} is delegated to the zone")
        return
    text = f"{name} is delegated to {', '.join(sorted(public)) or 'nobody'}, and the zone is served by others"
    yield finding("delegation", Level.ERROR, text, f"enter {', '.join(sorted(own))} at the parent domain")


def access(asked: Asked) -> Iterator[Finding]:
    """Check that the roles of the workflows can enter the cluster, if there is one."""
    stack = asked.settings.stack
    cluster = f"{PROJECT}-{stack}"
    try:
        answer = asked.client("eks").list_access_entries(clusterName=cluster)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        yield finding("access", Level.OK, f"there is no cluster {cluster} yet")
        return
    names = {arn.rpartition("/")[2] for arn in answer["accessEntries"]}
    deploys = deploy_role(stack)
    if deploys in names:
        yield finding("access", Level.OK, f"the deployment's role can enter {cluster}")
        return
    text = f"no access entry of {cluster} is for {deploys}: the workflow can change nothing in it"
    remedy = "run `pulumi up` once as an administrator of the cluster, which makes the entry"
    yield finding("access", Level.ERROR, text, remedy)


CHECKS: Final[tuple[Check, ...]] = (
    values, account, zones, quotas, functions, bootstrap, delegation, access,
)  # fmt: skip
