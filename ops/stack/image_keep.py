"""The tag in ECR that shows what a stack runs: the repositories' rules never delete an image that has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from infra.aws.image_retention import DEPLOYED_TAGS
from ops.errors import OpsError
from ops.stack.images import own_images

ECR: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<repository>[^:@]+):(?P<tag>[^@]+)"
)
MANIFESTS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Every kind of image that may be tagged; without these ECR might return the image inside of an index instead."""


def own_of(stack: str, root: Path) -> list[str]:
    """Return the references of the project's images that a stack runs."""
    return sorted(image for image, stacks in own_images(root).items() if stack in stacks)


def keep(ecr: Any, stack: str, image: str, digests: Mapping[str, str]) -> str:
    """Move the stack's tag to one image; ``ecr`` is boto3's client. Returns the digest of the image.

    Raises:
        OpsError: the image is not in ECR.
    """
    match = ECR.fullmatch(image)
    if match is None:
        raise OpsError(f"{image} is not in ECR: the rules of another registry must keep it")
    repository, digest = match["repository"], digests.get(image)
    identity = {"imageDigest": digest} if digest else {"imageTag": match["tag"]}
    answer = ecr.batch_get_image(
        registryId=match["account"], repositoryName=repository, imageIds=[identity], acceptedMediaTypes=list(MANIFESTS)
    )
    if not answer["images"]:
        raise OpsError(f"{repository} has no image {digest or match['tag']}: push it again, or deploy another commit")
    present = answer["images"][0]
    with suppress(ecr.exceptions.ImageAlreadyExistsException):  # it has the tag already
        ecr.put_image(
            registryId=match["account"],
            repositoryName=repository,
            imageManifest=present["imageManifest"],
            imageManifestMediaType=present["imageManifestMediaType"],
            imageTag=f"{DEPLOYED_TAGS}{stack}",
        )
    return str(present["imageId"]["imageDigest"])


def region_of(image: str) -> str | None:
    """Return the region of a repository in ECR; None for another registry."""
    match = ECR.fullmatch(image)
    return match["region"] if match else None
