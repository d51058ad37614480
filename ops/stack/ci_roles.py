"""The roles that workflows assume, as documents: who may take each, what it may do, and the boundary of what it makes.

Each environment has roles of its own. A deployment creates roles and policies itself, so lesser rights than an
administrator's would not bound it; a permission boundary does, and the boundary makes every role that it creates carry
the same one (IAM User Guide, "Permissions boundaries for IAM entities"). `docs/security.md` has the outcome as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.naming import ENVIRONMENTS, PREVIEWED, PROJECT, boundary_name

ISSUER: Final = "token.actions.githubusercontent.com"
AUDIENCE: Final = "sts.amazonaws.com"
READ_ONLY: Final = "ReadOnlyAccess"
ADMINISTRATOR: Final = "AdministratorAccess"
Statements = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role of the workflows: its name, whose tokens it takes, its managed policy, and the stack that it is for."""

    name: str
    subjects: Sequence[str]
    """What follows ``repo:OWNER/NAME:`` in the subject of GitHub's tokens."""
    managed: str | None = None
    stack: str | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether it has the boundary of its stack; other roles have few rights, all of them named."""
        return self.managed is not None


def roles(environments: Sequence[str] = ENVIRONMENTS) -> list[Role]:
    """Return the roles for the environments that are in one account."""
    main = "ref:refs/heads/main"
    every = []
    if PREVIEWED in environments:
        every.append(Role(name="preview", subjects=("pull_request",), stack=PREVIEWED))
        every.append(Role(name="images", subjects=(main,)))
    for stack in environments:
        every.append(Role(name=f"drift-{stack}", subjects=(main,), managed=READ_ONLY, stack=stack))
        every.append(
            Role(name=f"deploy-{stack}", subjects=(f"environment:{stack}",), managed=ADMINISTRATOR, stack=stack)
        )
    return every


@dataclass(frozen=True, kw_only=True)
class Place:
    """The account and region, the bucket with the state and its key, and the key of each stack's secrets."""

    account: str
    region: str
    bucket: str
    bucket_key: str
    stack_keys: dict[str, str]

    def boundary(self, stack: str) -> str:
        """Return the ARN of a stack's boundary."""
        return f"arn:aws:iam::{self.account}:policy/{boundary_name(stack)}"

    def role(self, name: str) -> str:
        """Return the ARN of a role, or of several with a pattern."""
        return f"arn:aws:iam::{self.account}:role/{name}"

    def objects(self, paths: Sequence[str]) -> list[str]:
        """Return the ARNs of objects in the bucket with the state."""
        return [f"arn:aws:s3:::{self.bucket}/{path}" for path in paths]


def locks(stack: str) -> str:
    """Return the pattern of a stack's locks (pulumi/pulumi, pkg/backend/diy/lock.go: stackLockDir)."""
    return f".pulumi/locks/organization/{PROJECT}/{stack}/*"


def state(stack: str) -> list[str]:
    """Return the patterns of a stack's state (pulumi/pulumi, pkg/backend/diy/store.go: StacksDir and the like)."""
    folders = [f".pulumi/{kind}/{PROJECT}/{stack}/*" for kind in ("history", "backups")]
    return [f".pulumi/stacks/{PROJECT}/{stack}.json*", *folders]


def trust(provider_arn: str, repository: str, role: Role) -> dict[str, Any]:
    """Return who may assume a role: jobs of one repository, and only those whose tokens have one of its subjects."""
    subjects = [f"repo:{repository}:{subject}" for subject in role.subjects]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Principal": {"Federated": provider_arn},
                "Condition": {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subjects}},
            }
        ],
    }


def rights(role: Role, place: Place) -> Statements:
    """Return what a role may do besides its managed policy."""
    if role.stack is None:
        return _images(place)
    read: Statements = [
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": f"arn:aws:s3:::{place.bucket}"},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": place.objects([".pulumi/meta.yaml", *state(role.stack), locks(role.stack)]),
        },
        {
            "Effect": "Allow",
            "Action": ["s3:DeleteObject", "s3:PutObject"],
            "Resource": place.objects([locks(role.stack)]),
        },
        {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": place.bucket_key},
        # Pulumi makes a new data key when the stack's file names the key and no more.
        {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:Encrypt"], "Resource": place.stack_keys[role.stack]},
    ]
    if role.managed == READ_ONLY:
        # Lambda shows a function's environment only to who may decrypt it (Lambda Developer Guide, "Securing Lambda
        # environment variables"); to others it would look as if somebody had emptied it.
        through = {"StringEquals": {"kms:ViaService": f"lambda.{place.region}.amazonaws.com"}}
        keys = f"arn:aws:kms:{place.region}:{place.account}:key/*"
        read.append({"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": keys, "Condition": through})
    if role.managed is not None:
        return read
    cluster = f"arn:aws:eks:{place.region}:{place.account}:cluster/{PROJECT}-{role.stack}"
    return [
        *read,
        # What the program asks for, and what shows which images run; a preview without a refresh reads nothing else.
        {"Effect": "Allow", "Action": ["ec2:DescribeAvailabilityZones", "ecr:GetAuthorizationToken"], "Resource": "*"},
        {"Effect": "Allow", "Action": ["eks:DescribeCluster"], "Resource": cluster},
        {
            "Effect": "Allow",
            "Action": ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"],
            "Resource": _repositories(place),
        },
    ]


def _repositories(place: Place) -> str:
    return f"arn:aws:ecr:{place.region}:{place.account}:repository/{PROJECT}/*"


def _images(place: Place) -> Statements:
    return [
        {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeImages",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            "Resource": _repositories(place),
        },
    ]


def boundary(stack: str, place: Place) -> dict[str, Any]:
    """Return the most that the roles of a stack may do: its deployment, its drift check, and all that it creates."""
    return {
        "Version": "2012-10-17",
        "Statement": [*_of_others(stack, place), *_of_roles(stack, place), *_of_account(place)],
    }


def _of_others(stack: str, place: Place) -> Statements:
    """Return everything but what belongs to the account's other stacks; images are for all of them."""
    others = [other for other in ENVIRONMENTS if other != stack]
    names = [f"arn:aws:s3:::{PROJECT}-{other}-*" for other in others]
    secrets = [f"arn:aws:secretsmanager:*:{place.account}:secret:{PROJECT}-{other}/*" for other in others]
    states = [path for other in others for path in (*state(other), locks(other))]
    keys = [place.stack_keys[other] for other in others if other in place.stack_keys]
    tags = {"aws:ResourceTag/churn:stack": others}
    return [
        {"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Sid": "OthersState", "Effect": "Deny", "Action": "s3:*", "Resource": place.objects(states)},
        {
            "Sid": "OthersByName",
            "Effect": "Deny",
            "Action": ["s3:*", "secretsmanager:*"],
            "Resource": [*names, *secrets],
        },
        {
            "Sid": "OthersByTag",
            "Effect": "Deny",
            "NotAction": "ecr:*",
            "Resource": "*",
            "Condition": {"StringEquals": tags},
        },
        *([{"Sid": "OthersKeys", "Effect": "Deny", "Action": "kms:*", "Resource": keys}] if keys else []),
    ]


def _of_roles(stack: str, place: Place) -> Statements:
    """Return the limits that keep whoever has the boundary from making or taking an identity without it."""
    unbounded = {"ArnNotEquals": {"iam:PermissionsBoundary": place.boundary(stack)}}
    own = [place.role(f"{PROJECT}-{stack}-*"), place.role("aws-service-role/*")]
    workflows = [place.role(f"{PROJECT}-{name}") for name in ("deploy-*", "drift-*", "preview", "images")]
    provider = f"arn:aws:iam::{place.account}:oidc-provider/{ISSUER}"
    return [
        {
            "Sid": "OnlyWithThisBoundary",
            "Effect": "Deny",
            "Action": ["iam:CreateRole", "iam:PutRolePermissionsBoundary"],
            "Resource": "*",
            "Condition": unbounded,
        },
        {
            "Sid": "OnlyOwnRoles",
            "Effect": "Deny",
            "Action": [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:DeleteRole*",
                "iam:DetachRolePolicy",
                "iam:PassRole",
                "iam:PutRole*",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole*",
            ],
            "NotResource": own,
        },
        {"Sid": "BoundaryStays", "Effect": "Deny", "Action": "iam:DeleteRolePermissionsBoundary", "Resource": "*"},
        {
            "Sid": "BoundariesStay",
            "Effect": "Deny",
            "NotAction": ["iam:Get*", "iam:List*"],
            "Resource": f"arn:aws:iam::{place.account}:policy/{boundary_name('*')}",
        },
        {
            "Sid": "WorkflowsStay",
            "Effect": "Deny",
            "NotAction": ["iam:Get*", "iam:List*"],
            "Resource": [*workflows, provider],
        },
        {
            "Sid": "NoPeople",
            "Effect": "Deny",
            "Action": ["iam:*AccessKey*", "iam:*LoginProfile*", "iam:*SAML*", "iam:*User*", "iam:*Group*"],
            "Resource": "*",
        },
    ]


def _of_account(place: Place) -> Statements:
    """Return the limits that keep the state's bucket, the account's settings, and the records of who did what."""
    bucket = [f"arn:aws:s3:::{place.bucket}", f"arn:aws:s3:::{place.bucket}/*"]
    return [
        {
            "Sid": "StateStays",
            "Effect": "Deny",
            "Action": [
                "s3:DeleteBucket*",
                "s3:DeleteObjectVersion*",
                "s3:PutBucket*",
                "s3:PutEncryption*",
                "s3:PutLifecycle*",
            ],
            "Resource": bucket,
        },
        {
            "Sid": "AccountStays",
            "Effect": "Deny",
            "Action": [
                "account:*",
                "cloudtrail:DeleteTrail",
                "cloudtrail:StopLogging",
                "config:DeleteConfigurationRecorder",
                "config:StopConfigurationRecorder",
                "guardduty:DeleteDetector",
                "organizations:*",
            ],
            "Resource": "*",
        },
    ]
