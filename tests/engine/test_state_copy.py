"""The copy of the state in a second region, by the commands of docs/dr.md, with the real command line.

A plain copy between two buckets of moto stands for S3's replication, and a key in each region for a multi-region key.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation as auto
from support.procedures import DOCUMENT, blocks
from support.s3 import client, environment, moto
from support.servers import TOOL_FOLDERS

pytestmark = [pytest.mark.service, pytest.mark.timeout(300, func_only=True)]
ALIAS = "alias/churn-pulumi-prod"
LOST, SECOND = "eu-central-1", "eu-west-1"
SETTINGS = f"secretsprovider: awskms:///{ALIAS}?region={LOST}\nconfig:\n  churn:kept: by the file\n"
LOCK = ".pulumi/locks/organization/churn/prod/00000000-0000-4000-8000-000000000000.json"


class Desk:
    """A person's checkout and shell, and two regions."""

    def __init__(self, folder: Path, command: auto.PulumiCommand, url: str) -> None:
        self.url, self._command = url, command.command
        self.checkout, self._bin = folder / "checkout", folder / "bin"
        self.checkout.mkdir()
        self._bin.mkdir()
        (self._bin / "pulumi").symlink_to(command.command)
        (self.checkout / "Pulumi.yaml").write_text("name: churn\nruntime: yaml\n")
        (self.checkout / "Pulumi.prod.yaml").write_text(SETTINGS)
        for line in (
            "init --quiet",
            "add .",
            "-c user.name=a -c user.email=a@b.invalid commit --quiet --message begin",
        ):
            subprocess.run(["git", *line.split()], cwd=self.checkout, check=True)
        self._home = folder

    def backend(self, region: str) -> dict[str, str]:
        """The two variables of a region, as the bootstrap prints them, with moto's address."""
        place = f"&endpoint={self.url}&s3ForcePathStyle=true"
        return {
            "PULUMI_BACKEND_URL": f"s3://state-{region}?region={region}{place}",
            "PULUMI_SECRETS_KEY": f"awskms:///{ALIAS}?region={region}",
        }

    def shell(self, script: str, region: str) -> str:
        """Run lines as a person's shell would that stops at the first failure."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.checkout,
            env=environment(self.url) | self.backend(region) | {
                "PATH": f"{self._bin}:{TOOL_FOLDERS}",
                "HOME": str(self._home),
                "PULUMI_HOME": str(self._home / ".pulumi"),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def desk(tmp_path: Path, command: auto.PulumiCommand) -> Iterator[Desk]:
    with moto() as url:
        for region in (LOST, SECOND):
            kms = client(url, "kms", region)
            kms.create_alias(AliasName=ALIAS, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
            where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            client(url, "s3", region).create_bucket(Bucket=f"state-{region}", **where)
        yield Desk(tmp_path, command, url)


def lose_the_region(desk: Desk) -> None:
    """Copy the state of a stack with a resource, in the middle of an update, and delete the original."""
    desk.shell('pulumi stack init prod --secrets-provider "$PULUMI_SECRETS_KEY"', LOST)
    exported = json.loads(desk.shell("pulumi stack export --stack prod", LOST))
    urn = "urn:pulumi:prod::churn::pulumi:pulumi:Stack::churn-prod"
    exported["deployment"]["resources"] = [{"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack"}]
    (desk.checkout / "state.json").write_text(json.dumps(exported))
    desk.shell("pulumi stack import --stack prod --file state.json && git checkout --quiet . && rm state.json", LOST)
    first, second = client(desk.url, "s3", LOST), client(desk.url, "s3", SECOND)
    lock = {"pid": 1, "username": "a", "hostname": "lost", "timestamp": "2026-01-01T00:00:00Z"}
    first.put_object(Bucket=f"state-{LOST}", Key=LOCK, Body=json.dumps(lock).encode())
    for item in first.list_objects_v2(Bucket=f"state-{LOST}")["Contents"]:
        body = first.get_object(Bucket=f"state-{LOST}", Key=item["Key"])["Body"].read()
        second.put_object(Bucket=f"state-{SECOND}", Key=item["Key"], Body=body)
        first.delete_object(Bucket=f"state-{LOST}", Key=item["Key"])
    first.delete_bucket(Bucket=f"state-{LOST}")


def test_a_new_stack_begins_beside_the_lost_one(desk: Desk) -> None:
    lose_the_region(desk)
    script = next(block for block in blocks(DOCUMENT, "Region lost", "text") if "PULUMI_BACKEND_URL" in block)
    lines = [line for line in script.splitlines() if line.strip()]
    assert shlex.split(lines[0], comments=True)[0] == "export"
    desk.shell("\n".join(lines[1:]), SECOND)

    stacks: list[dict[str, Any]] = json.loads(desk.shell("pulumi stack ls --json", SECOND))
    assert {item["name"]: item["resourceCount"] for item in stacks} == {"prod": 0, "prod-lost": 1}
    text = (desk.checkout / "Pulumi.prod.yaml").read_text()
    assert "churn:kept: by the file" in text, "the stack's configuration is still there"
    desk.shell("pulumi config set --stack prod --secret token hush", SECOND)
    assert desk.shell("pulumi config get --stack prod token", SECOND).strip() == "hush"
