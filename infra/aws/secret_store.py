"""All secrets of the stack in Secrets Manager: the sources for pods, and which secrets rotate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_aws import secretsmanager

from infra import secret_files as s
from infra.aws.keys import customer_key
from infra.aws.scope import Scope
from infra.aws.secret import Secret, SecretArgs
from infra.cloud import Database
from infra.credentials import Templates
from infra.naming import PROJECT

KIND: Final = f"{PROJECT}:rotation"
CLIENT: Final = f"{PROJECT}:client"
"""Tags by which `ops/jobs/rotation` recognises a secret."""
ROTATED: Final = {
    s.MLFLOW_ADMIN.name: "mlflow-admin",
    s.MLFLOW_API.name: "mlflow-user",
    s.MLFLOW_TRAINING.name: "mlflow-user",
    s.GRAFANA_ADMIN.name: "grafana-admin",
}
"""Kind of rotation by secret, besides the clients' API keys."""
PURPOSES: Final = {
    s.API_KEYS.name: "Hashes of the API keys that are valid",
    s.MLFLOW_ADMIN.name: "MLflow's administrator",
    s.MLFLOW_API.name: "The API's login at MLflow",
    s.MLFLOW_TRAINING.name: "Training's login at MLflow",
    s.POSTGRES_SUPERUSER.name: "PostgreSQL's superuser",
    s.POSTGRES_MLFLOW.name: "MLflow's login at PostgreSQL",
    s.POSTGRES_GRAFANA.name: "Grafana's login at PostgreSQL",
    s.POSTGRES_BACKUP.name: "The backup's login at PostgreSQL",
    s.POSTGRES_MONITOR.name: "The login at PostgreSQL that its exporter reads statistics with",
    s.GRAFANA_ADMIN.name: "Grafana's administrator",
    s.ALERT_RECEIVERS.name: "Where alerts go; its values are put in by a person",
    s.CACHE_LOGIN.name: "The API's login at the cache",
}


@dataclass(frozen=True, kw_only=True)
class SecretStoreArgs:
    """The stack, the key, the database, and the superuser's secret if RDS creates it."""

    scope: Scope
    key: pulumi.Input[str]
    database: Database
    superuser: pulumi.Input[str] | None


class SecretStore(pulumi.ComponentResource):
    """One secret for each of `infra.secret_files.ALL`, and one for each client with an API key; all without values."""

    sources: dict[str, s.SecretSource]
    clients: dict[str, pulumi.Output[str]]
    """ARN of the secret with a client's key, by the client's name."""
    copy_key: pulumi.Output[str] | None = None
    """The second region's key, if secrets are copied there."""
    templates: dict[str, Mapping[str, pulumi.Output[str]]]
    """Template of each file, by the secret's name, for all secrets but those with API keys."""

    def __init__(self, name: str, args: SecretStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:SecretStore", name, {}, opts)
        maker = Templates(parent=self, name=name, state=args.scope.settings.state)
        self.templates = dict(maker.shared(args.database))
        self.sources = {}
        if args.superuser is None:
            self.templates[s.POSTGRES_SUPERUSER.name] = maker.login(s.POSTGRES_SUPERUSER, "postgres")
        else:
            self.sources[s.POSTGRES_SUPERUSER.name] = s.AwsSource(arn=args.superuser)
        replicas = self._replicas(name, args.scope)
        plain = SecretArgs(scope=args.scope, key=args.key, role="", description="", replicas=replicas)
        for secret in (s.API_KEYS.name, *self.templates):
            kind = ROTATED.get(secret)
            tags = {KIND: kind} if kind else {}
            own = replace(plain, role=secret, description=PURPOSES[secret], tags=tags)
            more = (s.CA_FILE,) if s.CA_FILE in self.templates.get(secret, ()) else ()
            self.sources[secret] = s.AwsSource(arn=self._secret(name, own).arn, more=more)
        self.clients = {client: self._client(name, plain, client) for client in args.scope.settings.secrets.api_clients}
        self.register_outputs({})

    def _replicas(self, name: str, scope: Scope) -> list[secretsmanager.SecretReplicaArgs]:
        """Return where each secret is copied to, which is where backups are, with a key of that region."""
        region = scope.settings.buckets.copy_region
        if not region:
            return []
        self.copy_key = customer_key(self, f"{name}-copy-key", scope, "Copies of the secrets", region=region).arn
        return [secretsmanager.SecretReplicaArgs(region=region, kms_key_id=self.copy_key)]

    def _client(self, name: str, plain: SecretArgs, client: str) -> pulumi.Output[str]:
        args = replace(
            plain,
            role=f"{s.CLIENT_ROLE}{client}",
            description=f"API key of the client {client}",
            tags={KIND: "api-key", CLIENT: client},
            # A client is removed by taking it off the list, which must not fail at a protected secret.
            keep=False,
        )
        return self._secret(name, args).arn

    def _secret(self, name: str, args: SecretArgs) -> Secret:
        return Secret(f"{name}-{args.role}", args, pulumi.ResourceOptions(parent=self))

    def rotated(self) -> dict[str, pulumi.Input[str]]:
        """Return the ARN of every rotating secret by its name."""
        own = {secret: source.arn for secret in ROTATED if isinstance(source := self.sources[secret], s.AwsSource)}
        return {**own, **{f"{s.CLIENT_ROLE}{client}": arn for client, arn in self.clients.items()}}

    def own(self) -> dict[str, pulumi.Input[str]]:
        """Return the ARN of every secret whose value is made here, by its name; RDS makes that of its superuser."""
        names = (s.API_KEYS.name, *self.templates)
        shared = {secret: source.arn for secret in names if isinstance(source := self.sources[secret], s.AwsSource)}
        return {**shared, **{f"{s.CLIENT_ROLE}{client}": arn for client, arn in self.clients.items()}}
