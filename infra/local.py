"""The cloud of a local cluster, which has none: the stack itself generates the value of every secret."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra import secret_files as s
from infra.cloud import CloudOutputs, Database
from infra.config import Settings
from infra.credentials import Maker, key_file
from infra.naming import POSTGRES

FIRST_KEY = "local"
"""Id of the API key that a local stack generates for its owner."""


@dataclass(frozen=True, kw_only=True)
class LocalCloudArgs:
    """The stack's settings."""

    settings: Settings


class LocalCloud(pulumi.ComponentResource):
    """Random values for every secret, stored encrypted in the stack's state."""

    outputs: CloudOutputs

    def __init__(self, name: str, args: LocalCloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:local:LocalCloud", name, {}, opts)
        maker = Maker(parent=self, name=name, state=args.settings.state)
        database = Database(host=POSTGRES.host, port=POSTGRES.ports["postgres"])
        key = maker.api_key(FIRST_KEY, "api-key")
        values = {
            s.API_KEYS.name: {"keys.json": key.apply(lambda known: key_file([known]))},
            s.POSTGRES_SUPERUSER.name: {
                "username": pulumi.Output.from_input("postgres"),
                "password": maker.random("postgres"),
            },
            **maker.shared(database),
        }
        sources = {secret: s.KubernetesSource(values=files) for secret, files in values.items()}
        self.outputs = CloudOutputs(secrets=sources, database=database, first_api_key=pulumi.Output.secret(key))
        self.register_outputs({})
