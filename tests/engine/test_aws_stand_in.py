"""The stand-in for the `aws` provider forgets versions of secrets and follows databases as the real one does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.engine.aws import Aws
from support.engine.provider import Asked, Journal, ProviderError
from support.engine.secrets_manager import ResourceExistsException
from support.engine.wire import Properties

SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a type
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
INSTANCE = "aws:rds/instance:Instance"
CALL = "aws:lambda/invocation:Invocation"


@pytest.fixture
def aws() -> Aws:
    return Aws(Journal())


def created(aws: Aws, kind: str, name: str, **inputs: Any) -> tuple[str, Properties]:
    return aws.create(Asked(type=kind, name=name, new=inputs))


def read(aws: Aws, kind: str, identity: str, inputs: Properties, state: Properties) -> Any:
    return aws.read(Asked(type=kind, name="it", old=inputs, state=state, identity=identity))


def test_a_version_is_gone_after_two_other_writes_and_not_before(aws: Aws) -> None:
    _, secret = created(aws, SECRET, "it", namePrefix="it")
    inputs = {"secretId": secret["arn"], "secretString": "first"}
    identity, version = created(aws, VERSION, "it", **inputs)
    for text, gone in (("second", False), ("third", True)):
        aws.secrets.put_secret_value(SecretId=secret["arn"], SecretString=text)
        assert (read(aws, VERSION, identity, inputs, version) is None) is gone
    assert aws.secrets.get_secret_value(SecretId=secret["arn"])["SecretString"] == "third"


def test_a_version_cannot_be_written_twice(aws: Aws) -> None:
    """A second write with its token is ignored, and refused if its value is another."""
    _, secret = created(aws, SECRET, "it", namePrefix="it")
    request = {"SecretId": secret["arn"], "ClientRequestToken": "one"}
    aws.secrets.put_secret_value(**request, SecretString="first")
    aws.secrets.put_secret_value(SecretId=secret["arn"], SecretString="second")
    assert aws.secrets.put_secret_value(**request, SecretString="first") == {"VersionId": "one"}
    with pytest.raises(ResourceExistsException):
        aws.secrets.put_secret_value(**request, SecretString="third")
    assert aws.secrets.get_secret_value(SecretId=secret["arn"])["SecretString"] == "second"


def test_a_database_is_found_by_its_resource_id_under_the_name_that_it_has(aws: Aws) -> None:
    first, state = created(aws, INSTANCE, "it", identifier="churn-prod")
    assert first.startswith("db-")
    assert first == state["resourceId"]
    second = aws.restore_database()
    for identity, name in ((first, "churn-prod-replaced"), (second, "churn-prod")):
        inputs, outputs = read(aws, INSTANCE, identity, {"identifier": "churn-prod"}, state)
        assert (inputs["identifier"], outputs["identifier"], outputs["resourceId"]) == (name, name, identity)
    assert read(aws, INSTANCE, "db-UNKNOWN", {}, state) is None


def test_a_call_of_the_function_fills_secrets_and_its_error_is_the_providers(aws: Aws) -> None:
    keys, one = (created(aws, SECRET, name, namePrefix=name)[1]["arn"] for name in ("keys", "one"))
    request = {"secrets": {one: {"password": "{{one}}"}}, "keys_secret": keys, "clients": {}, "scopes": []}
    created(aws, CALL, "it", functionName="f", input=json.dumps(request))
    content = json.loads(aws.secrets.get_secret_value(SecretId=one)["SecretString"])
    assert len(content["password"]) == 43
    aws.secrets.put_secret_value(SecretId=one, SecretString='{"password": 7}')
    with pytest.raises(ProviderError, match="password is a number"):
        created(aws, CALL, "it", functionName="f", input=json.dumps({**request, "scopes": ["predict"]}))
