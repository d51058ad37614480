"""ECR's lifecycle rules over the images of one repository, as its documentation has them, and the pushes of a pipeline.

Sources: the ECR user guide (`LifecyclePolicies`, `lifecycle_policy_parameters`, `lifecycle_policy_examples`); that what
an index refers to stays as long as the index, DefangLabs/pulumi-defang 466 (a preview in a real account) and the code
`ImageReferencedByManifestList` of `BatchDeleteImage`; that signatures and indexes count as images,
aws/containers-roadmap 2613. Where the documentation leaves a question open, the answer here is the harsher one: a
reference artifact without a tag expires like any other image without one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

Policy = dict[str, Any]


@dataclass
class Image:
    """An image in the sense of ECR: anything with a manifest."""

    digest: str
    pushed: float
    """Day of its first push; another tag later does not change it."""
    tags: set[str] = field(default_factory=set)
    refers_to: tuple[str, ...] = ()
    """Digests of what an index consists of."""
    subject: str | None = None
    """Digest of the image that a signature is about, where the registry knows that."""


@dataclass
class Repository:
    """The images of one repository."""

    images: dict[str, Image] = field(default_factory=dict)

    def push(self, image: Image) -> None:
        self.images[image.digest] = image

    def tag(self, digest: str, tag: str) -> None:
        """Give a tag to an image that is there; takes it from the image that has it."""
        for image in self.images.values():
            image.tags.discard(tag)
        self.images[digest].tags.add(tag)

    def tagged(self, prefix: str) -> list[Image]:
        return [image for image in self.images.values() if any(tag.startswith(prefix) for tag in image.tags)]

    def expire(self, policy: Policy, day: float) -> None:
        """Delete what the rules expire on one day."""
        expired = expiring(policy, self.images.values(), day)
        while True:
            living = [image for digest, image in self.images.items() if digest not in expired]
            referred = {digest for image in living for digest in image.refers_to}
            spared = expired & referred
            if not spared:
                break
            expired -= spared
        self.images = {digest: image for digest, image in self.images.items() if digest not in expired}
        orphans = {d for d, image in self.images.items() if image.subject and image.subject not in self.images}
        self.images = {digest: image for digest, image in self.images.items() if digest not in orphans}


def matches(selection: dict[str, Any], image: Image) -> bool:
    """Whether an image meets what a rule says of tags; of several patterns, each must match one of its tags."""
    match selection["tagStatus"]:
        case "any":
            return True
        case "untagged":
            return not image.tags
        case "tagged":
            patterns = selection["tagPatternList"]
            return all(any(fnmatchcase(tag, pattern) for tag in image.tags) for pattern in patterns)
        case other:
            raise ValueError(other)


def expiring(policy: Policy, images: Iterable[Image], day: float) -> set[str]:
    """The digests that the rules mark: an image that matches one rule's tags is marked by no rule after it."""
    images = list(images)
    claimed: set[str] = set()
    marked: set[str] = set()
    rules = sorted(policy["rules"], key=lambda rule: rule["rulePriority"])
    assert len({rule["rulePriority"] for rule in rules}) == len(rules)
    for rule in rules:
        selection = rule["selection"]
        # A rule marks nothing that a rule before it claims, but it still counts it.
        chosen = sorted((i for i in images if matches(selection, i)), key=lambda i: i.pushed, reverse=True)
        if selection["countType"] == "imageCountMoreThan":
            old = chosen[selection["countNumber"] :]
        else:
            assert (selection["countType"], selection["countUnit"]) == ("sinceImagePushed", "days")
            old = [image for image in chosen if day - image.pushed > selection["countNumber"]]
        marked |= {image.digest for image in old} - claimed
        claimed |= {image.digest for image in chosen}
    return marked


def push_commit(repository: Repository, commit: int, day: float, *, tag: str, legacy: bool) -> str:
    """Push what the pipeline pushes for a commit: an image, its attestation, their index, and a signature.

    ``legacy`` signatures have a tag made from the digest; others name their subject and have none. Returns the digest
    of the index, which is what a stack runs.
    """
    parts = tuple(f"{commit}-{part}" for part in ("image", "attestation"))
    for number, part in enumerate(parts):
        repository.push(Image(digest=part, pushed=day + number * 1e-6))
    index = f"{commit}-index"
    repository.push(Image(digest=index, pushed=day + 2e-6, tags={tag}, refers_to=parts))
    signature = Image(digest=f"{commit}-signature", pushed=day + 3e-6)
    if legacy:
        signature.tags.add(f"sha256-{commit:064x}.sig")
    else:
        signature.subject = index
    repository.push(signature)
    return index
