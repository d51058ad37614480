"""Which images ECR keeps, over a history of pushes and deployments; and that ECR's API takes the rules and the tag."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from support.aws_api import account, as_api
from support.ecr_lifecycle import Policy, Repository, push_commit
from support.paths import ROOT

from infra.aws import image_retention as retention
from infra.versions import OWN
from ops.errors import OpsError
from ops.stack import image_keep, repositories

COMMITS_A_DAY = 4
DAYS = 120
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/churn/api:commit-1"


def policy() -> Policy:
    """The rules that the bootstrap gives each repository."""
    rules: Policy = retention.lifecycle(retention.KEEP_COMMITS)
    return rules


def counting_any(number: int) -> Policy:
    """Rules that count whatever is in the repository."""
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": number}
    return {"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]}


def history(rules: Policy, *, legacy: bool, prod_every: int) -> Iterator[tuple[Repository, dict[str, str], list[str]]]:
    """Push and deploy for months; yields the repository, what each stack runs, and all indexes, after each day.

    Staging runs each commit; prod every ``prod_every``th, from the first.
    """
    repository, runs, indexes = Repository(), {"staging": "", "prod": ""}, []
    for number in range(COMMITS_A_DAY * DAYS):
        day = number / COMMITS_A_DAY
        tag = f"{retention.COMMIT_TAGS}{number:040x}"
        indexes.append(push_commit(repository, number, day, tag=tag, legacy=legacy))
        for stack, every in (("staging", 1), ("prod", prod_every)):
            if number % every == 0:
                runs[stack] = indexes[-1]
                repository.tag(indexes[-1], f"{retention.DEPLOYED_TAGS}{stack}")
        if number % COMMITS_A_DAY == COMMITS_A_DAY - 1:
            repository.expire(rules, day + 1 / COMMITS_A_DAY)
            yield repository, runs, indexes


def whole(repository: Repository, index: str) -> bool:
    """Whether an image can be pulled: its index is there, and all that the index refers to."""
    image = repository.images.get(index)
    return image is not None and all(part in repository.images for part in image.refers_to)


@pytest.mark.parametrize("signature", ["tag", "subject"])
@pytest.mark.parametrize("prod_every", [7, 150, 10_000])
def test_what_a_stack_runs_and_the_newest_commits_remain(prod_every: int, signature: str) -> None:
    legacy = signature == "tag"
    keep = retention.KEEP_COMMITS
    repository = Repository()
    for repository, runs, indexes in history(policy(), legacy=legacy, prod_every=prod_every):
        assert all(whole(repository, index) for index in {*runs.values(), *indexes[-keep:]})
    assert keep <= len(repository.tagged(retention.COMMIT_TAGS)) <= keep + len(("staging", "prod"))
    # Parts of deleted indexes go after a week.
    week = COMMITS_A_DAY * (retention.UNTAGGED_DAYS + 1)
    assert len([image for image in repository.images.values() if not image.tags]) <= 3 * (keep + week + 2)


def test_the_signature_of_a_deployed_image_remains() -> None:
    for repository, runs, _ in history(policy(), legacy=True, prod_every=10_000):
        assert runs["prod"].replace("index", "signature") in repository.images


def test_rules_that_count_any_image_keep_eight_commits_of_thirty_and_lose_prods() -> None:
    """Shows that the simulation finds what these rules are for."""
    *_, (repository, runs, indexes) = history(counting_any(30), legacy=True, prod_every=150)
    assert [index for index in indexes if whole(repository, index)] == indexes[-8:]
    assert not whole(repository, runs["prod"])


def test_the_pipeline_pushes_the_tags_that_the_rules_count() -> None:
    workflows = {name: (ROOT / f".github/workflows/{name}.yml").read_text("utf-8") for name in ("images", "deploy")}
    assert f"${{{{ matrix.image }}}}:{retention.COMMIT_TAGS}${{{{ github.sha }}}}" in workflows["images"]
    assert f"TAG: {retention.COMMIT_TAGS}${{{{ github.sha }}}}" in workflows["images"]
    sha = "${{ github.event.workflow_run.head_sha }}"
    assert workflows["deploy"].count(f"TAG: {retention.COMMIT_TAGS}{sha}") == 2
    for job in workflows["deploy"].split("\n\n  prod:"):
        assert job.index("images keep") > job.index("cluster wait") > job.index("pulumi/actions")


# ------------------------------------------------------------------ on moto


@pytest.fixture
def ecr() -> Iterator[Any]:
    with account():
        client = boto3.client("ecr")
        number = boto3.client("sts").get_caller_identity()["Account"]
        repositories.create(boto3, number, "us-east-1")
        yield client


def pushed(ecr: Any, commit: int) -> str:
    """Push an index; returns its digest."""
    manifest = {"schemaVersion": 2, "mediaType": image_keep.MANIFESTS[0], "manifests": [], "commit": commit}
    answer = ecr.put_image(
        repositoryName="churn/api",
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=image_keep.MANIFESTS[0],
        imageTag=f"{retention.COMMIT_TAGS}{commit}",
    )
    return str(answer["image"]["imageId"]["imageDigest"])


def with_tag(ecr: Any, tag: str) -> list[str]:
    details = ecr.describe_images(repositoryName="churn/api")["imageDetails"]
    return [item["imageDigest"] for item in details if tag in item.get("imageTags", ())]


def test_ecr_takes_the_rules(ecr: Any) -> None:
    text = json.dumps(policy())
    ecr.put_lifecycle_policy(repositoryName="churn/api", lifecyclePolicyText=text)
    assert ecr.get_lifecycle_policy(repositoryName="churn/api")["lifecyclePolicyText"] == text
    assert as_api(policy())["Rules"]
    with pytest.raises(ClientError, match="validation failure"):
        ecr.put_lifecycle_policy(
            repositoryName="churn/api", lifecyclePolicyText=text.replace("imageCountMoreThan", "imageCount")
        )


def test_the_stacks_tag_moves_and_that_of_a_commit_does_not(ecr: Any) -> None:
    first, second = pushed(ecr, 1), pushed(ecr, 2)
    assert image_keep.keep(ecr, "prod", IMAGE, {}) == first
    assert with_tag(ecr, "deployed-prod") == [first]
    assert image_keep.keep(ecr, "prod", IMAGE, {IMAGE: second}) == second
    assert image_keep.keep(ecr, "prod", IMAGE, {IMAGE: second}) == second
    assert with_tag(ecr, "deployed-prod") == [second]
    with pytest.raises(ClientError, match="already exists in the repository"):
        ecr.put_image(
            repositoryName="churn/api",
            imageManifest=json.dumps({"schemaVersion": 2, "mediaType": image_keep.MANIFESTS[0], "other": 1}),
            imageManifestMediaType=image_keep.MANIFESTS[0],
            imageTag=f"{retention.COMMIT_TAGS}1",
        )


def test_an_image_that_is_gone_or_elsewhere_is_named(ecr: Any) -> None:
    with pytest.raises(OpsError, match="has no image commit-1"):
        image_keep.keep(ecr, "prod", IMAGE, {})
    with pytest.raises(OpsError, match="is not in ECR"):
        image_keep.keep(ecr, "prod", "ghcr.io/owner/api:1", {})
    assert image_keep.region_of(IMAGE) == "us-east-1"
    assert image_keep.region_of("ghcr.io/owner/api:1") is None


def test_all_images_of_a_stack_are_kept() -> None:
    references = image_keep.own_of("prod", ROOT)
    assert [reference.rpartition("/")[2].partition(":")[0] for reference in references] == sorted(OWN)
