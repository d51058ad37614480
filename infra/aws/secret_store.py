"""All secrets of the stack in Secrets Manager: the sources for pods, and which secrets rotate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import pulumi

from infra import secret_files as s
from infra.aws.scope import Scope
from infra.aws.secret import Secret, SecretArgs
from infra.cloud import Database
from infra.credentials import Maker, key_file
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
    """One secret for each of `infra.secret_files.ALL`, and one for each client with an API key."""

    sources: dict[str, s.SecretSource]
    clients: dict[str, pulumi.Output[str]]
    """ARN of the secret with a client's key, by the client's name."""

    def __init__(self, name: str, args: SecretStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:SecretStore", name, {}, opts)
        maker = Maker(parent=self, name=name, state=args.scope.settings.state)
        clients = args.scope.settings.secrets.api_clients
        keys = {client: maker.api_key(client, f"api-key-{client}") for client in clients}
        files = pulumi.Output.all(*keys.values()).apply(lambda known: key_file(known, scopes=["predict"]))
        values: dict[str, Mapping[str, pulumi.Output[str]]] = {
            s.API_KEYS.name: {"keys.json": files},
            **maker.shared(args.database),
        }
        self.sources = {}
        if args.superuser is None:
            values[s.POSTGRES_SUPERUSER.name] = maker.login(s.POSTGRES_SUPERUSER, "postgres")
        else:
            self.sources[s.POSTGRES_SUPERUSER.name] = s.AwsSource(arn=args.superuser)
        plain = SecretArgs(scope=args.scope, key=args.key, role="", description="", values={})
        for secret, content in values.items():
            kind = ROTATED.get(secret)
            tags = {KIND: kind} if kind else {}
            filled = replace(plain, role=secret, description=PURPOSES[secret], values=content, tags=tags)
            self.sources[secret] = s.AwsSource(arn=self._secret(name, filled).arn)
        self.clients = {client: self._client(name, plain, client, key) for client, key in keys.items()}
        self.register_outputs({})

    def _client(self, name: str, plain: SecretArgs, client: str, key: pulumi.Output[str]) -> pulumi.Output[str]:
        args = replace(
            plain,
            role=f"api-client-{client}",
            description=f"API key of the client {client}",
            values={"key": key},
            tags={KIND: "api-key", CLIENT: client},
        )
        return self._secret(name, args).arn

    def _secret(self, name: str, args: SecretArgs) -> Secret:
        return Secret(f"{name}-{args.role}", args, pulumi.ResourceOptions(parent=self))

    def rotated(self) -> dict[str, pulumi.Input[str]]:
        """Return the ARN of every rotating secret by its name."""
        own = {secret: source.arn for secret in ROTATED if isinstance(source := self.sources[secret], s.AwsSource)}
        return {**own, **{f"api-client-{client}": arn for client, arn in self.clients.items()}}
