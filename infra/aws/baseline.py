"""What watches an account: CloudTrail with every access to state and backups, GuardDuty with EKS, and Config.

GuardDuty and Config exist once in an account and region, so one stack of an account sets them up: the one whose
``churn:account.baseline`` is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import cfg, cloudtrail, guardduty, iam

from infra.aws.bucket import Bucket
from infra.aws.scope import Scope
from infra.kit.iam import Statement, document, service_trust
from infra.kit.options import child
from infra.naming import ENVIRONMENTS, PROJECT

TRAIL: Final = "trail"
CONFIG: Final = "config"
"""Folders in the bucket for logs."""
CONFIG_POLICY: Final = "arn:aws:iam::aws:policy/service-role/AWS_ConfigRole"
FEATURES: Final = ("EKS_AUDIT_LOGS", "S3_DATA_EVENTS")


def _trail_arn(scope: Scope) -> str:
    return scope.arn("cloudtrail", f"trail/{scope.prefix}")


def watched(scope: Scope) -> list[str]:
    """Return how the ARNs of the objects begin whose every access is recorded, whichever stack has them."""
    return [
        f"arn:aws:s3:::{PROJECT}-pulumi-state-",
        *(f"arn:aws:s3:::{PROJECT}-{stack}-backups-{scope.account.id}-" for stack in ENVIRONMENTS),
    ]


def deliveries(scope: Scope) -> list[Statement]:
    """Return what CloudTrail and Config may do with the bucket for logs, if this stack sets them up.

    The statements are those of the CloudTrail User Guide ("Amazon S3 bucket policy for CloudTrail") and the Config
    Developer Guide ("Permissions for the Amazon S3 bucket").
    """
    if not scope.settings.account.baseline:
        return []
    bucket = f"arn:aws:s3:::{scope.bucket('logs')}"
    trail, config = {"Service": ["cloudtrail.amazonaws.com"]}, {"Service": ["config.amazonaws.com"]}
    of_trail = {"aws:SourceArn": _trail_arn(scope)}
    of_account = {"aws:SourceAccount": scope.account.id}
    whole = {"s3:x-amz-acl": "bucket-owner-full-control"}
    return [
        Statement(
            sid="TrailLooks",
            actions=["s3:GetBucketAcl"],
            resources=[bucket],
            principals=trail,
            conditions={"ArnEquals": of_trail},
        ),
        Statement(
            sid="TrailWrites",
            actions=["s3:PutObject"],
            resources=[f"{bucket}/{TRAIL}/AWSLogs/{scope.account.id}/*"],
            principals=trail,
            conditions={"ArnEquals": of_trail, "StringEquals": whole},
        ),
        Statement(
            sid="ConfigLooks",
            actions=["s3:GetBucketAcl", "s3:ListBucket"],
            resources=[bucket],
            principals=config,
            conditions={"StringEquals": of_account},
        ),
        Statement(
            sid="ConfigWrites",
            actions=["s3:PutObject"],
            resources=[f"{bucket}/{CONFIG}/AWSLogs/{scope.account.id}/Config/*"],
            principals=config,
            conditions={"StringEquals": {**of_account, **whole}},
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class BaselineArgs:
    """The stack, and the bucket that receives the records."""

    scope: Scope
    logs: Bucket


class Baseline(pulumi.ComponentResource):
    """The trail, the detector, and the recorder with its role and channel."""

    def __init__(self, name: str, args: BaselineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:Baseline", name, {}, opts)
        self._trail(name, args)
        detector = guardduty.Detector(
            f"{name}-detector", enable=True, finding_publishing_frequency="FIFTEEN_MINUTES", opts=child(self)
        )
        for feature in FEATURES:
            guardduty.DetectorFeature(
                f"{name}-{feature.lower().replace('_', '-')}",
                detector_id=detector.id,
                name=feature,
                status="ENABLED",
                opts=child(self),
            )
        self._recorder(name, args)
        self.register_outputs({})

    def _trail(self, name: str, args: BaselineArgs) -> None:
        fields = cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs
        selector = cloudtrail.TrailAdvancedEventSelectorArgs
        cloudtrail.Trail(
            f"{name}-trail",
            name=args.scope.prefix,
            s3_bucket_name=args.logs.id,
            s3_key_prefix=TRAIL,
            is_multi_region_trail=True,
            include_global_service_events=True,
            # Digests, by which a record that was changed or taken away is noticed.
            enable_log_file_validation=True,
            advanced_event_selectors=[
                selector(name="Management", field_selectors=[fields(field="eventCategory", equals=["Management"])]),
                selector(
                    name="StateAndBackups",
                    field_selectors=[
                        fields(field="eventCategory", equals=["Data"]),
                        fields(field="resources.type", equals=["AWS::S3::Object"]),
                        fields(field="resources.ARN", starts_withs=watched(args.scope)),
                    ],
                ),
            ],
            opts=child(self, after=[args.logs]),
        )

    def _recorder(self, name: str, args: BaselineArgs) -> None:
        own = {"StringEquals": {"aws:SourceAccount": args.scope.account.id}}
        role = iam.Role(
            f"{name}-config-role",
            assume_role_policy=document(service_trust("config.amazonaws.com", own)),
            opts=child(self),
        )
        rights = iam.RolePolicyAttachment(
            f"{name}-config-policy", role=role.name, policy_arn=CONFIG_POLICY, opts=child(self)
        )
        recorder = cfg.Recorder(
            f"{name}-recorder",
            name=args.scope.prefix,
            role_arn=role.arn,
            recording_group=cfg.RecorderRecordingGroupArgs(all_supported=True, include_global_resource_types=True),
            opts=child(self, after=[rights]),
        )
        channel = cfg.DeliveryChannel(
            f"{name}-channel",
            name=args.scope.prefix,
            s3_bucket_name=args.logs.id,
            s3_key_prefix=CONFIG,
            opts=child(self, after=[args.logs, recorder]),
        )
        cfg.RecorderStatus(f"{name}-recording", name=recorder.name, is_enabled=True, opts=child(self, after=[channel]))
