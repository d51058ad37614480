"""Who can do what: questions to the simulator of IAM, and their answers as the tables of `docs/security.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from support.aws_rules import of
from support.iam import Identity, Request, allowed, may_assume
from support.workload_roles import ACCOUNT, workload_roles

from infra.naming import ENVIRONMENTS
from ops.stack import ci_roles
from ops.stack.ci_roles import AUDIENCE, ISSUER, Place, Role
from ops.stack.recording import Recording

REGION: Final = "eu-central-1"
REPOSITORY: Final = "acme/churn"
KEY: Final = f"arn:aws:kms:{REGION}:{ACCOUNT}:key"
PLACE: Final = Place(
    account=ACCOUNT,
    region=REGION,
    bucket=f"churn-pulumi-state-{ACCOUNT}",
    bucket_key=f"{KEY}/state",
    stack_keys={stack: f"{KEY}/{stack}" for stack in ENVIRONMENTS},
)
PROVIDER: Final = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"
ANY: Final = ("Get", "List", "Describe", "BatchGet", "Head", "View", "Select", "Scan", "Query", "Search")
MANAGED: Final[dict[str | None, list[dict[str, Any]]]] = {
    None: [],
    ci_roles.ADMINISTRATOR: [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    # More than AWS's own policy allows: that leaves out, for one, GetSecretValue. So the answers err on the safe side.
    ci_roles.READ_ONLY: [{"Effect": "Allow", "Action": [f"*:{verb}*" for verb in ANY], "Resource": "*"}],
}
KEY_POLICY: Final = [
    {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
]
"""What KMS gives a key by default: the account's own policies decide."""
JOBS: Final = {
    "a pull request from a fork": None,
    "a pull request": f"repo:{REPOSITORY}:pull_request",
    "any other branch": f"repo:{REPOSITORY}:ref:refs/heads/feature",
    "the main branch": f"repo:{REPOSITORY}:ref:refs/heads/main",
    "the environment staging": f"repo:{REPOSITORY}:environment:staging",
    "the environment prod": f"repo:{REPOSITORY}:environment:prod",
    "another repository": "repo:acme/other:environment:prod",
}
"""Subject of the token that GitHub gives a job of these; it gives none to a fork's pull request."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One column: a few requests, and whether the role can make all of them."""

    title: str
    requests: Sequence[Request]


def _on_stack(stack: str) -> list[Question]:
    state = f"arn:aws:s3:::{PLACE.bucket}/.pulumi/stacks/churn/{stack}.json"
    lock = f"arn:aws:s3:::{PLACE.bucket}/.pulumi/locks/organization/churn/{stack}/1.json"
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:churn-{stack}/mlflow-admin-1"
    mine = {"aws:ResourceTag/churn:stack": stack}
    return [
        Question(title=f"reads {stack}'s state", requests=[Request(action="s3:GetObject", resource=state)]),
        Question(title="decrypts it", requests=[Request(action="kms:Decrypt", resource=PLACE.stack_keys[stack])]),
        Question(title="locks it", requests=[Request(action="s3:PutObject", resource=lock)]),
        Question(title="writes it", requests=[Request(action="s3:PutObject", resource=state)]),
        Question(
            title=f"reads {stack}'s secrets",
            requests=[Request(action="secretsmanager:GetSecretValue", resource=secret, context=mine)],
        ),
        Question(
            title=f"changes {stack}",
            requests=[
                Request(action="eks:UpdateClusterConfig", resource=f"cluster/churn-{stack}", context=mine),
                Request(action="rds:ModifyDBInstance", resource=f"db:churn-{stack}", context=mine),
            ],
        ),
    ]


def _on_account() -> list[Question]:
    new_role = PLACE.role("churn-staging-new")
    bound = {"iam:PermissionsBoundary": PLACE.boundary("staging")}
    return [
        Question(
            title="pushes images",
            requests=[
                Request(action="ecr:PutImage", resource=f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/churn/api"),
                Request(action="ecr:GetAuthorizationToken"),
            ],
        ),
        Question(
            title="makes a role with the boundary of staging",
            requests=[Request(action="iam:CreateRole", resource=new_role, context=bound)],
        ),
        Question(title="makes one without", requests=[Request(action="iam:CreateRole", resource=new_role)]),
    ]


ESCAPES: Final = (
    Request(action="iam:CreatePolicyVersion", resource=PLACE.boundary("staging")),
    Request(action="iam:DeletePolicy", resource=PLACE.boundary("prod")),
    Request(action="iam:DeleteRolePermissionsBoundary", resource=PLACE.role("churn-deploy-staging")),
    Request(action="iam:DeleteRolePermissionsBoundary", resource=PLACE.role("churn-staging-identity")),
    Request(
        action="iam:PutRolePermissionsBoundary",
        resource=PLACE.role("churn-staging-identity"),
        context={"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    Request(action="iam:UpdateAssumeRolePolicy", resource=PLACE.role("churn-deploy-prod")),
    Request(action="iam:PutRolePolicy", resource=PLACE.role("churn-preview")),
    Request(action="iam:AttachRolePolicy", resource=PLACE.role("BreakGlass")),
    Request(action="iam:UpdateAssumeRolePolicy", resource=PLACE.role("BreakGlass")),
    Request(action="iam:PassRole", resource=PLACE.role("BreakGlass")),
    Request(action="iam:TagRole", resource=PLACE.role("BreakGlass")),
    Request(action="iam:UpdateOpenIDConnectProviderThumbprint", resource=PROVIDER),
    Request(action="iam:CreateUser", resource=f"arn:aws:iam::{ACCOUNT}:user/new"),
    Request(action="iam:CreateAccessKey", resource=f"arn:aws:iam::{ACCOUNT}:user/somebody"),
    Request(action="s3:PutBucketPolicy", resource=f"arn:aws:s3:::{PLACE.bucket}"),
    Request(action="s3:DeleteObjectVersion", resource=f"arn:aws:s3:::{PLACE.bucket}/.pulumi/meta.yaml"),
    Request(action="cloudtrail:StopLogging", resource=f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/churn"),
    Request(action="organizations:LeaveOrganization"),
)
"""Ways from a deployment to more rights than it has, or out of sight. No role of a workflow may have one of them."""


def can(identity: Identity, question: Question) -> bool:
    """Whether a role can make every request of a question."""
    return all(
        allowed(identity, request, KEY_POLICY if request.action.startswith("kms:") else ())
        for request in question.requests
    )


def identity(role: Role) -> Identity:
    """A role of the workflows with all of its documents."""
    own = ci_roles.rights(role, PLACE)
    limits = ci_roles.boundary(role.stack, PLACE)["Statement"] if role.is_bounded and role.stack else None
    statements = [*MANAGED[role.managed], *own]
    return Identity(arn=PLACE.role(f"churn-{role.name}"), statements=statements, boundary=limits)


def takes(role: Role, subject: str | None, audience: str = AUDIENCE) -> bool:
    """Whether a job with this subject in its token may take a role."""
    context = {f"{ISSUER}:sub": subject, f"{ISSUER}:aud": audience} if subject else {}
    policy = ci_roles.trust(PROVIDER, REPOSITORY, role)["Statement"]
    return may_assume(policy, federated=PROVIDER, context=context)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _yes(answer: bool) -> str:  # noqa: FBT001 - its only argument
    return "yes" if answer else "no"


def jobs_table() -> str:
    """Which role each kind of job can take."""
    roles = ci_roles.roles()
    rows = [[job, ", ".join(f"`churn-{r.name}`" for r in roles if takes(r, s)) or "none"] for job, s in JOBS.items()]
    return _table(["A job of", "can take"], rows)


def roles_table() -> str:
    """What each role of the workflows can do; a column is a role, since there are fewer of them."""
    roles = ci_roles.roles()
    questions = [question for stack in ENVIRONMENTS for question in _on_stack(stack)] + _on_account()
    identities = [identity(role) for role in roles]
    rows = [[question.title, *(_yes(can(each, question)) for each in identities)] for question in questions]
    return _table(["", *(role.name for role in roles)], rows)


@dataclass(frozen=True, kw_only=True)
class Workloads:
    """The roles of a recorded stack's service accounts."""

    recording: Recording

    @cached_property
    def identities(self) -> dict[str, Identity]:
        """The roles by the names of their workloads."""
        return workload_roles(self.recording)

    def _buckets(self) -> dict[str, str]:
        """Every bucket's ARN by what it is for, which is the part of its name between the stack and the account."""
        own, rest = f"churn-{self.recording.stack}-", f"-{ACCOUNT}-"
        names = sorted(str(item.inputs["bucket"]) for item in of(self.recording, "Bucket"))
        return {name.removeprefix(own).partition(rest)[0]: f"arn:aws:s3:::{name}" for name in names}

    def secrets(self, workload: str) -> list[str]:
        """The secrets that a workload can read, by the names that the stack gives them."""
        known = {
            item.inputs["namePrefix"].partition("/")[2].rstrip("-"): str(item.outputs["arn"])
            for item in of(self.recording, "Secret")
            if "namePrefix" in item.inputs
        }
        action = "secretsmanager:GetSecretValue"
        role = self.identities[workload]
        return sorted(name for name, arn in known.items() if allowed(role, Request(action=action, resource=arn)))

    def on_buckets(self, workload: str) -> list[str]:
        """What a workload can do with the objects of each bucket."""
        verbs = {
            "reads": "s3:GetObject", "writes": "s3:PutObject", "deletes": "s3:DeleteObject",
            "deletes versions of": "s3:DeleteObjectVersion", "tags": "s3:PutObjectVersionTagging",
        }  # fmt: skip
        marking = {"s3:RequestObjectTag/churn-expired": "true", "s3:RequestObjectTagKeys": ["churn-expired"]}
        role = self.identities[workload]
        answers = []
        for name, arn in self._buckets().items():
            possible = [
                verb
                for verb, action in verbs.items()
                if allowed(role, Request(action=action, resource=f"{arn}/objects/aa/bb", context=marking))
            ]
            if possible:
                answers.append(f"{', '.join(possible)} {name}")
        return answers

    def table(self) -> str:
        """What each workload can do with buckets and secrets."""
        rows = [
            [f"`{name}`", "; ".join(self.on_buckets(name)) or "no", ", ".join(self.secrets(name)) or "no"]
            for name in sorted(self.identities)
        ]
        return _table(["Workload", "with buckets", "reads the secrets"], rows)
