"""Which images of a repository remain: whatever a stack runs, and the newest commits; everything else is deleted.

One push of a commit leaves several images in ECR: an index with the commit's tag, the image and the attestation that it
refers to, both without a tag, and a signature. A rule that counted `any` image would keep a quarter of the commits that
its number promises (aws/containers-roadmap 2613), so each rule counts the images of one kind of tag.
"""

from __future__ import annotations

from typing import Any, Final

COMMIT_TAGS: Final = "commit-"
"""What precedes the commit in the tag that `.github/workflows/images.yml` pushes."""
DEPLOYED_TAGS: Final = "deployed-"
"""What precedes a stack's name in the tag that moves to the image that the stack runs (`churn images keep`)."""
SIGNATURE_TAGS: Final = "sha256-"
"""What precedes the digest in the tags of signatures."""
MOST_STACKS: Final = 100
"""More than there ever are tags of stacks, so that none of these images expires."""
MOST_SIGNATURES: Final = 5000
"""Far more than the images that remain: a signature is a few KiB, and that of a deployed image may be an old one."""
UNTAGGED_DAYS: Final = 7
KEEP_COMMITS: Final = 30
"""Of how many commits the images stay, besides those that a stack runs."""


def lifecycle(commits: int) -> dict[str, Any]:
    """Return the rules that keep the images of the newest ``commits`` and of every stack.

    An image that matches the tags of one rule cannot expire by a rule after it, so a deployed image stays.
    What an index refers to matches the last rule, but ECR deletes it only after the index.
    """
    counted = (
        ("whatever a stack runs", DEPLOYED_TAGS, MOST_STACKS),
        ("signatures", SIGNATURE_TAGS, MOST_SIGNATURES),
        (f"all but the newest {commits} commits", COMMIT_TAGS, commits),
    )
    selections = [
        (
            description,
            {
                "tagStatus": "tagged",
                "tagPatternList": [f"{prefix}*"],
                "countType": "imageCountMoreThan",
                "countNumber": number,
            },
        )
        for description, prefix, number in counted
    ]
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": UNTAGGED_DAYS,
    }
    return {
        "rules": [
            {"rulePriority": priority, "description": description, "selection": selection, "action": {"type": "expire"}}
            for priority, (description, selection) in enumerate([*selections, ("untagged", untagged)], start=1)
        ]
    }
