"""Inputs of recorded AWS resources, in the form that AWS' own API takes, for tests with moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import boto3
import pytest
from moto import mock_aws
from moto.iam.aws_managed_policies import aws_managed_policies_data

from ops.stack.ci_roles import ADMINISTRATOR, READ_ONLY

SPELLED_OTHERWISE: Final = {
    "id": "ID",
    "kmsMasterKeyId": "KMSMasterKeyID",
    "sseAlgorithm": "SSEAlgorithm",
    "cloudwatchMetricsEnabled": "CloudWatchMetricsEnabled",
}
"""Names that AWS spells otherwise than with a capital first letter."""


def as_api(value: Any) -> Any:
    """Inputs of a Pulumi resource, spelled as in AWS' API."""
    if isinstance(value, dict):
        return {SPELLED_OTHERWISE.get(key, key[0].upper() + key[1:]): as_api(item) for key, item in value.items()}
    return [as_api(item) for item in value] if isinstance(value, list) else value


@cache
def _managed_policies() -> str:
    """Those of AWS' own policies that the bootstrap attaches, for moto, which reads all 1,500 of them each time."""
    every = json.loads(aws_managed_policies_data)
    return json.dumps({name: every[name] for name in (ADMINISTRATOR, READ_ONLY)})


@contextmanager
def account(region: str = "us-east-1", *, managed_policies: bool = False) -> Iterator[Any]:
    """A session of boto3 in an empty account, played by moto, on request with AWS' policies that are attached.

    The default region is not the stacks', so that a program that forgets its region does not find what is there.
    """
    config: Any = {"iam": {"load_aws_managed_policies": True}} if managed_policies else {}
    with pytest.MonkeyPatch.context() as patch, mock_aws(config=config):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "none")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        if managed_policies:
            patch.setattr("moto.iam.models.aws_managed_policies_data", _managed_policies())
        yield boto3.Session(region_name=region)
