"""What a local stack generates: files in the form that their readers expect."""

from __future__ import annotations

import configparser
import hashlib

from support.recorder import record_with, recorded, settings

from app.security import parse_key_file
from infra import secret_files
from infra.cloud import Database
from infra.credentials import cache_users, key_file, service_file
from infra.local import FIRST_KEY
from ops.jobs.logins import PG_SERVICE
from ops.stack.recording import STAND_IN


def test_the_key_file_is_one_that_the_api_reads() -> None:
    key = f"{FIRST_KEY}.abc"
    entries = parse_key_file(key_file([key]).encode())
    principal, hashes = entries[FIRST_KEY]
    assert principal.scopes == {"predict", "admin"}
    assert hashes == [hashlib.sha256(key.encode()).hexdigest()]
    assert "abc" not in key_file([key])


def test_the_service_file_has_one_login() -> None:
    parsed = configparser.ConfigParser()
    where = Database(host="unused")
    parsed.read_string(
        service_file(where, host="postgres.churn-mlops.svc", user="mlflow", password="pa55", database="mlflow")  # noqa: S106 - of this test
    )
    assert dict(parsed["churn"]) == {
        "host": "postgres.churn-mlops.svc",
        "port": "5432",
        "dbname": "mlflow",
        "user": "mlflow",
        "password": "pa55",
    }


def test_a_password_that_two_sides_need_stands_in_one_file_of_one_secret() -> None:
    """Server and clients read the same file, so nobody can change the password of one side alone."""
    for spec in secret_files.ALL:
        assert not {"password", secret_files.PG_SERVICE} <= set(spec.files), spec.name
    assert PG_SERVICE == secret_files.PG_SERVICE
    secrets = {
        frozenset(item.inputs["stringData"]): item.inputs["stringData"]
        for item in recorded("dev").resources
        if item.is_kubernetes and item.inputs["kind"] == "Secret" and item.name.endswith("-postgres-mlflow-secret")
    }
    assert set(secrets) == {frozenset({secret_files.PG_SERVICE})}


def test_the_cache_knows_only_the_hash_of_its_password() -> None:
    password = f"{STAND_IN}-local-cache-login"
    users = {
        item.inputs["stringData"]["users.acl"]
        for item in record_with("dev", cache={"enabled": True}).resources
        if item.is_kubernetes and item.inputs["kind"] == "Secret" and "users.acl" in item.inputs["stringData"]
    }
    assert users == {cache_users(hashlib.sha256(password.encode()).hexdigest())}
    assert password not in users.pop()


def test_every_secret_has_every_file_and_all_generated_values_are_random_and_secret() -> None:
    passwords = [
        item for item in recorded("dev").resources if item.type == "random:index/randomPassword:RandomPassword"
    ]
    assert {(item.inputs["length"], item.inputs["special"]) for item in passwords} == {(43, False)}
    secrets = [item for item in recorded("dev").resources if item.is_kubernetes and item.inputs["kind"] == "Secret"]
    files = {frozenset(item.inputs["stringData"]) for item in secrets if item.inputs["type"] == "Opaque"}
    assert files <= {frozenset(spec.files) for spec in secret_files.ALL}
    assert any(STAND_IN in value for item in secrets for value in item.inputs["stringData"].values())


def test_a_local_stack_needs_no_cloud() -> None:
    assert settings("dev").cluster.kind == "local"
    providers = {item.type for item in recorded("dev").resources if item.type.startswith("pulumi:providers:")}
    assert providers == {"pulumi:providers:kubernetes", "pulumi:providers:random", "pulumi:providers:tls"}
