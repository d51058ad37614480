"""What a destroyed stack leaves behind is found on moto, deleted if it holds no data, and nobody else's is touched."""

from __future__ import annotations

from typing import Any

import pytest
from support.aws_rules import of
from support.eks_recordings import RECORDINGS
from support.engine.aws import Aws
from support.engine.provider import Asked, Journal, ProviderError

from ops.errors import RefusedError
from ops.stack import leftovers
from ops.stack.leftovers import LOG_PATHS, Account, clear

REGION = "eu-central-1"


def left_behind(session: Any, stack: str) -> None:
    """Create what services and controllers leave, as they tag it."""
    name = f"churn-{stack}"
    by_auto_mode = [{"Key": "eks:eks-cluster-name", "Value": name}]
    ec2, elb = session.client("ec2"), session.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    ec2.create_tags(Resources=[interface], Tags=[{"Key": "cluster.k8s.amazonaws.com/name", "Value": name}])
    group = ec2.create_security_group(GroupName=f"k8s-{stack}", Description="traffic", VpcId=vpc)["GroupId"]
    ec2.create_tags(Resources=[group], Tags=[{"Key": f"kubernetes.io/cluster/{name}", "Value": "owned"}])
    elb.create_load_balancer(Name=f"k8s-{stack}", Subnets=[subnet], Type="network", Tags=by_auto_mode)
    elb.create_target_group(Name=f"k8s-{stack}", Protocol="TCP", Port=443, VpcId=vpc, Tags=by_auto_mode)
    session.client("logs").create_log_group(logGroupName=f"/aws/eks/{name}/cluster")
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
    ec2.create_tags(Resources=[volume], Tags=[{"Key": "churn:stack", "Value": stack}])


def test_what_holds_no_data_is_deleted_and_the_rest_listed(session: Any, capsys: pytest.CaptureFixture[str]) -> None:
    left_behind(session, "staging")
    left_behind(session, "prod")
    kinds = ["LoadBalancers", "TargetGroups", "NetworkInterface", "SecurityGroup", "LogGroup", "Volume"]
    others = [item.name for item in Account(session, "prod", REGION).leftovers()]
    assert [item.kind for item in Account(session, "staging", REGION).leftovers()] == kinds
    assert leftovers.main(["--stack", "staging", "--region", REGION]) == 1
    assert leftovers.main(["--stack", "staging", "--region", REGION, "--delete"]) == 0
    assert [item.kind for item in clear(Account(session, "staging", REGION))] == ["Volume"]
    assert [item.name for item in Account(session, "prod", REGION).leftovers()] == others
    assert "may hold data" in capsys.readouterr().out.splitlines()[-1]


def test_a_stack_that_is_up_has_no_leftovers(session: Any) -> None:
    left_behind(session, "staging")
    role = "arn:aws:iam::123456789012:role/cluster"
    session.client("eks").create_cluster(name="churn-staging", roleArn=role, resourcesVpcConfig={"subnetIds": []})
    with pytest.raises(RefusedError, match="churn-staging is still up: run 'pulumi destroy' first"):
        clear(Account(session, "staging", REGION))
    assert leftovers.main(["--stack", "staging", "--region", REGION, "--delete"]) == 1


def test_every_log_group_of_a_stack_is_known() -> None:
    for name, recording in RECORDINGS.items():
        stack = "prod" if name == "prod" else "staging"
        known = tuple(path.format(f"churn-{stack}") for path in LOG_PATHS)
        unknown = [item.name for item in of(recording(), "LogGroup") if not item.inputs["name"].startswith(known)]
        assert unknown == [], name


def test_the_final_snapshot_of_each_life_has_a_name_of_its_own() -> None:
    recording = RECORDINGS["prod"]()
    (instance,) = of(recording, "Instance")
    (part,) = [item for item in recording.resources if item.type == "random:index/randomString:RandomString"]
    assert instance.inputs["finalSnapshotIdentifier"] == f"churn-prod-final-{part.outputs['result']}"
    assert part.urn in instance.depends_on


@pytest.mark.parametrize(("second", "refused"), [("a", True), ("b", False)])
def test_the_stand_in_keeps_a_final_snapshot(second: str, refused: bool) -> None:  # noqa: FBT001 -- a column
    aws = Aws(Journal())
    for name, expected in (("a", False), (second, refused)):
        old = {"identifier": "i", "skipFinalSnapshot": False, "finalSnapshotIdentifier": name}
        asked = Asked(type="aws:rds/instance:Instance", name="database", old=old)
        if expected:
            with pytest.raises(ProviderError, match="DBSnapshotAlreadyExists"):
                aws.delete(asked)
        else:
            aws.delete(asked)


def test_the_stand_in_revives_the_log_group_of_a_cluster() -> None:
    aws = Aws(Journal())
    inputs = {"name": "/aws/eks/churn-staging/cluster"}
    asked = Asked(type="aws:cloudwatch/logGroup:LogGroup", name="logs", old=inputs, new=inputs)
    aws.create(asked)
    aws.delete(asked)
    with pytest.raises(ProviderError, match="ResourceAlreadyExistsException"):
        aws.create(asked)
