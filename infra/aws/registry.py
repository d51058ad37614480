"""The registry of the project's own images: its address, and which images it deletes.

The repositories belong to the account, not to a stack: `ops/stack/repositories.py` creates them before any stack.
"""

from __future__ import annotations

from typing import Any, Final

from infra.naming import PROJECT

UNTAGGED_DAYS: Final = 7
KEEP_IMAGES: Final = 30


def address(account_id: str, region: str) -> str:
    """Return the part of a reference before the name of the image."""
    return f"{account_id}.dkr.ecr.{region}.amazonaws.com/{PROJECT}"


def lifecycle(keep: int) -> dict[str, Any]:
    """Return the rules that keep the newest images, and images without a tag for a week."""
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": UNTAGGED_DAYS,
    }
    newest = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    return {
        "rules": [
            {"rulePriority": priority, "description": description, "selection": selection, "action": {"type": "expire"}}
            for priority, description, selection in (
                (1, "untagged", untagged),
                (2, f"all but the newest {keep}", newest),
            )
        ]
    }
