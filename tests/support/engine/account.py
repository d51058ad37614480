"""A document's commands that are none of Pulumi's: on AWS's API by moto, with stand-ins for GitHub and kubectl.

The account starts empty. Images exist only once they are pushed, which needs their repositories, and the cluster gets
no pod ready whose image does not exist; so commands in a wrong order fail here as they would there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import boto3
from support.aws_api import account
from support.engine.bring_up import ModelCluster
from support.engine.cloud import CloudProject
from support.engine.cluster import Key
from support.engine.readiness import completed

from infra.versions import OWN, PUBLIC
from ops.stack import bootstrap, domain, image_tag

COMMIT: Final = "commit-c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"
REGION: Final = "eu-central-1"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
PROGRAM: Final = ".venv/bin/python"


class Account:
    """A person with an account, a checkout that has been made ready, and a repository whose workflows run."""

    def __init__(self, project: CloudProject, cluster: ModelCluster) -> None:
        self.project, self.cluster = project, cluster
        self.commands: list[list[str]] = []
        self.promotions: list[bool] = []
        """Whether a version was in production already, at each promotion."""
        self._registry = ""
        cluster.images = set()

    def do(self, words: list[str]) -> None:
        """Do one command; one that this stand-in does not know fails the test."""
        self.commands.append(words)
        match words:
            case [program, "-m", "ops.stack.bootstrap", *options] if program == PROGRAM:
                assert bootstrap.main(options) == 0
                number = boto3.client("sts").get_caller_identity()["Account"]
                self._registry = f"{number}.dkr.ecr.{REGION}.amazonaws.com/churn"
            case [program, "-m", "ops.stack.domain", *options] if program == PROGRAM:
                assert domain.main(options) == 1  # nobody has delegated it yet
            case [".venv/bin/churn", "aws", "preflight", "--stack", stack]:
                # It changes nothing, and has tests of its own.
                assert (self.project.folder / f"Pulumi.{stack}.yaml").exists()
            case ["git", "push"]:
                self._build()
            case [program, "-m", "ops.stack.image_tag", "commit-$(git rev-parse HEAD)", "--registry", "$ECR_REGISTRY"]:
                assert program == PROGRAM
                assert image_tag.main([COMMIT, "--registry", self._registry], self.project.folder) == 0
            case [".venv/bin/churn", "images", "lock", "--own"]:
                self.project.lock(self._digests())
            case ["make", "infra"] | ["git", "commit", *_] | ["gh", "run", "watch", *_] | ["export", *_]:
                pass
            case _:
                self._in_the_cluster(words)

    def _in_the_cluster(self, words: list[str]) -> None:
        """Do a command that needs a stack which is up."""
        match words:
            case ["aws", "s3", "cp", _file, address]:
                self.cluster.files.add(address)
            case ["kubectl", "-n", namespace, "create", "job", schedule, name]:
                self.cluster.start(schedule.removeprefix("--from=cronjob/"), namespace, name)
            case ["kubectl", "-n", namespace, "wait", "--for=condition=Complete", _timeout, job]:
                assert completed(self.cluster.objects[Key("Job", namespace, job.removeprefix("job/"))])
                assert self.cluster.staged
            case [".venv/bin/churn", "promote"]:
                self.promotions.append(self.cluster.production)
                self.cluster.promote()
            case [".venv/bin/churn", "cluster", "wait"] | ["aws", "eks", "update-kubeconfig", *_]:
                pass
            case _:
                raise AssertionError(f"this test does not know the command: {words}")

    def _build(self) -> None:
        """Push an image of each kind, as `images.yml` does for a commit on the main branch."""
        ecr = boto3.client("ecr", region_name=REGION)
        for image in OWN:
            ecr.describe_repositories(repositoryNames=[f"churn/{image}"])  # moto itself would not name the error
            manifest = json.dumps(
                {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": image}, "layers": []}
            )
            ecr.put_image(
                repositoryName=f"churn/{image}",
                imageManifest=manifest,
                imageManifestMediaType=MANIFEST,
                imageTag=COMMIT,
            )
            assert self.cluster.images is not None
            self.cluster.images.add(f"{self._registry}/{image}:{COMMIT}")

    def _digests(self) -> dict[str, str]:
        """The digests of the pushed images, as their registry gives them, and made-up ones of the public images."""
        ecr = boto3.client("ecr", region_name=REGION)
        tagged: dict[str, str] = dict.fromkeys(PUBLIC.values(), f"sha256:{'0' * 64}")
        for image in OWN:
            answer = ecr.describe_images(repositoryName=f"churn/{image}", imageIds=[{"imageTag": COMMIT}])
            tagged[f"{self._registry}/{image}:{COMMIT}"] = answer["imageDetails"][0]["imageDigest"]
        return tagged


@contextmanager
def opened(project: CloudProject, cluster: ModelCluster) -> Iterator[Account]:
    """An account in which nothing has been created yet."""
    with account(managed_policies=True):
        yield Account(project, cluster)
