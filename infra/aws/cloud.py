"""The cloud of a stack on AWS, from the network to the secrets: everything that the workloads need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_random

from infra import edges
from infra.aws import grants
from infra.aws.account import Account, look_up
from infra.aws.baseline import Baseline, BaselineArgs
from infra.aws.boundary import on_every_role
from infra.aws.budget import Budget, BudgetArgs
from infra.aws.capacity import SPOT, STORAGE_CLASS
from infra.aws.cluster import API_SERVER, DNS
from infra.aws.compute import Compute, ComputeArgs
from infra.aws.database import PORT, DatabaseArgs
from infra.aws.database import Database as Rds
from infra.aws.database_copy import DatabaseCopy, DatabaseCopyArgs
from infra.aws.dns import Addresses, AddressesArgs, Dns, DnsArgs
from infra.aws.identity import Identity, IdentityArgs
from infra.aws.keys import Keys, KeysArgs
from infra.aws.network import Network, NetworkArgs
from infra.aws.pod_logs import PodLogs, PodLogsArgs
from infra.aws.registry import address
from infra.aws.registry_copy import RegistryCopy, RegistryCopyArgs
from infra.aws.rotation import Rotation, RotationArgs
from infra.aws.runner import Runner, RunnerArgs
from infra.aws.scope import Scope
from infra.aws.secret_store import SecretStore, SecretStoreArgs
from infra.aws.storage import Storage, StorageArgs
from infra.aws.waf import Waf, WafArgs
from infra.aws.watch import Watch, WatchArgs
from infra.cloud import CloudOutputs, Database, LoadBalancer
from infra.config import Settings
from infra.naming import POSTGRES
from infra.secret_files import ALERT_RECEIVERS, AwsSource
from infra.trust import certificates


@dataclass(frozen=True, kw_only=True)
class AwsCloudArgs:
    """The stack in its account, and the host names that clients use."""

    scope: Scope
    hosts: tuple[str, ...]


def provider(settings: Settings, account: Account | None) -> aws.Provider:
    """Create the provider for one region and, if it is known, one account; it tags everything with the stack's tags.

    It makes no call to AWS: the first resource that is created shows whether the credentials are valid.
    """
    account_id = settings.account.account_id if account is None else account.id
    tags = Scope(settings=settings, account=account or Account(id="", zones=())).tags
    return aws.Provider(
        "aws",
        region=settings.account.region,
        allowed_account_ids=[account_id] if account_id else None,
        default_tags=aws.ProviderDefaultTagsArgs(tags=tags),
    )


def build(settings: Settings, hosts: tuple[str, ...], account: Account | None) -> CloudOutputs:
    """Build the whole cloud; AWS is asked for the account and its zones unless ``account`` is given."""
    aws_provider = provider(settings, account)
    scope = Scope(settings=settings, account=account or look_up(settings, aws_provider))
    providers: list[pulumi.ProviderResource] = [aws_provider, eks.Provider("eks"), pulumi_random.Provider("random")]
    args = AwsCloudArgs(scope=scope, hosts=hosts)
    return AwsCloud("cloud", args, pulumi.ResourceOptions(providers=providers)).outputs


class AwsCloud(pulumi.ComponentResource):
    """Keys, network, cluster, identities, buckets, database, secrets, edge and budget."""

    outputs: CloudOutputs

    def __init__(self, name: str, args: AwsCloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        bounded = pulumi.ResourceOptions(transformations=[on_every_role(args.scope)])
        super().__init__("churn:aws:AwsCloud", name, {}, pulumi.ResourceOptions.merge(opts, bounded))
        self._scope, self._inside = args.scope, pulumi.ResourceOptions(parent=self)
        scope = args.scope
        self._keys = Keys("keys", KeysArgs(scope=scope), self._inside)
        self._network = Network("network", NetworkArgs(scope=scope, log_key=self._keys.logs), self._inside)
        compute_args = ComputeArgs(scope=scope, network=self._network, keys=self._keys)
        self._compute = Compute("compute", compute_args, self._inside)
        if scope.settings.runner.repository:
            self._runner()
        self._storage = Storage("storage", StorageArgs(scope=scope, key=self._keys.data), self._inside)
        if scope.settings.account.baseline:
            Baseline("baseline", BaselineArgs(scope=scope, logs=self._storage.logs), self._inside)
        self._database, superuser = self._postgres()
        self._store = self._secrets(superuser)
        dns_args = DnsArgs(scope=scope, domain=scope.settings.ingress.domain, hosts=args.hosts)
        self._dns = Dns("dns", dns_args, self._inside)
        if second := scope.settings.buckets.copy_region:
            RegistryCopy("registry-copy", RegistryCopyArgs(scope=scope, region=second), self._inside)
        Budget("budget", BudgetArgs(scope=scope), self._inside)
        self._watch = self._watched()
        self._pod_logs()
        self.outputs = self._outputs(self._identities())
        self.register_outputs({})

    def _runner(self) -> None:
        """Create the runner of the workflows, once its subnets have routes."""
        args = RunnerArgs(
            scope=self._scope,
            vpc_id=self._network.vpc_id,
            subnets=self._network.private_subnets,
            cluster_group=self._compute.cluster.node_group,
            log_key=self._keys.logs,
        )
        Runner("runner", args, self._after(self._network))

    def _postgres(self) -> tuple[Database, pulumi.Output[str] | None]:
        """Return where PostgreSQL is reached, and its superuser's secret if RDS creates one."""
        scope, keys, network = self._scope, self._keys, self._network
        if scope.settings.database.kind == "in-cluster":
            return Database(host=POSTGRES.host), None
        args = DatabaseArgs(
            scope=scope,
            vpc_id=network.vpc_id,
            subnets=network.database_subnets,
            clients=self._compute.cluster.node_group,
            data_key=keys.data,
            secret_key=keys.secrets,
            log_key=keys.logs,
        )
        instance = Rds("database", args, self._inside)
        if second := scope.settings.buckets.copy_region:
            copy_args = DatabaseCopyArgs(scope=scope, region=second, instance=instance.arn)
            DatabaseCopy("database-copy", copy_args, self._inside)
        database = Database(
            host=instance.host,
            port=PORT,
            cidrs=scope.addresses.database,
            certificates=certificates(scope.region),
        )
        return database, instance.master_secret

    def _secrets(self, superuser: pulumi.Output[str] | None) -> SecretStore:
        """Create the secrets and their rotation."""
        scope, keys = self._scope, self._keys
        args = SecretStoreArgs(scope=scope, key=keys.secrets, database=self._database, superuser=superuser)
        store = SecretStore("secrets", args, self._inside)
        domain = scope.settings.ingress.domain
        rotation_args = RotationArgs(
            scope=scope,
            store=store,
            secret_key=keys.secrets,
            log_key=keys.logs,
            vpc_id=self._network.vpc_id,
            subnets=self._network.private_subnets,
            urls={name: f"https://{name}.{domain}" for name in ("mlflow", "grafana")},
        )
        # Its interfaces need the subnets' routes, and with it gone these can go.
        self._first_values = Rotation("rotation", rotation_args, self._after(self._network)).first_values
        return store

    def _watched(self) -> Watch:
        """Create the alarms on AWS' own figures, and the function that tells the stack's receivers of them."""
        receivers = self._store.sources[ALERT_RECEIVERS.name]
        if not isinstance(receivers, AwsSource):
            raise TypeError("alarms need the receivers' secret in Secrets Manager")
        args = WatchArgs(
            scope=self._scope,
            nat_gateways=self._network.nat_gateways,
            receivers=receivers.arn,
            secret_key=self._keys.secrets,
            log_key=self._keys.logs,
        )
        return Watch("watch", args, self._inside)

    def _pod_logs(self) -> None:
        """Collect the logs of pods; the add-on's pods need nodes, so it comes after them."""
        cluster = self._compute.cluster
        args = PodLogsArgs(
            scope=self._scope, log_key=self._keys.logs, issuer=cluster.issuer, issuer_arn=cluster.issuer_arn
        )
        PodLogs("pod-logs", args, self._after(self._compute))

    def _after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(resources))

    def _identities(self) -> dict[str, Identity]:
        """Create a role for each workload that uses AWS; return them by the workload's name."""
        cluster = self._compute.cluster
        grantable = grants.Grantable(
            secrets=self._store.sources,
            storage=self._storage,
            data_key=self._keys.data,
            secret_key=self._keys.secrets,
        )
        workloads = edges.workloads(self._scope.settings)
        rights = {workload: grants.statements(workload, grantable) for workload in workloads}
        return {
            workload.name: Identity(
                f"identity-{workload.name}",
                IdentityArgs(
                    scope=self._scope,
                    namespace=workload.namespace,
                    account=workload.name,
                    statements=statements,
                    issuer=cluster.issuer,
                    issuer_arn=cluster.issuer_arn,
                ),
                self._inside,
            )
            for workload, statements in rights.items()
            if statements
        }

    def _outputs(self, identities: dict[str, Identity]) -> CloudOutputs:
        scope, storage, plan = self._scope, self._storage, self._scope.addresses
        irsa = scope.settings.eks.identity == "irsa"
        return CloudOutputs(
            secrets=self._store.sources,
            first_values=self._first_values,
            database=self._database,
            region=scope.region,
            storage_class=STORAGE_CLASS,
            artifacts_bucket=storage.artifacts.id,
            backups_bucket=storage.backups.id,
            data_bucket=storage.data.id,
            metrics_bucket=None if storage.metrics is None else storage.metrics.id,
            roles={name: identity.arn for name, identity in identities.items()} if irsa else {},
            pod_identity=not irsa,
            load_balancer=self._balancer(),
            zones=len(scope.account.zones),
            spot=SPOT,
            # Its addresses in the VPC, and that of its Service, which is what EKS' network policies see.
            api_server_cidrs=(plan.vpc, API_SERVER),
            node_cidrs=plan.private,
            # With Auto Mode each node answers DNS at the address of the Service.
            dns_cidrs=(DNS,) if scope.settings.eks.nodes == "auto" else (),
            kubeconfig=self._compute.cluster.kubeconfig,
            capacity=self._compute.capacity,
            drivers=(self._compute.drivers,),
            addresses=self._addresses,
            outputs=self._exports(),
        )

    def _balancer(self) -> LoadBalancer:
        scope, edge = self._scope, self._scope.settings.edge
        firewall = Waf("waf", WafArgs(scope=scope, log_key=self._keys.logs), self._inside).arn if edge.waf else None
        return LoadBalancer(
            kind=edge.balancer,
            auto_mode=scope.settings.eks.nodes == "auto",
            certificate_arn=self._dns.certificate,
            tags=scope.tags,
            vpc_cidr=scope.addresses.vpc,
            internal_cidrs=(scope.addresses.vpc, *edge.internal_cidrs),
            firewall_arn=firewall,
        )

    def _addresses(self, balancers: Mapping[str, pulumi.Input[str]]) -> Addresses:
        self._watch.edge(balancers[f"api.{self._scope.settings.ingress.domain}"])
        args = AddressesArgs(zone_id=self._dns.zone_id, balancers=balancers)
        return Addresses("addresses", args, self._inside)

    def _exports(self) -> dict[str, pulumi.Input[object]]:
        account = self._scope.account
        exports: dict[str, pulumi.Input[object]] = {
            "account": account.id,
            "zones": list(account.zones),
            "cluster": self._compute.cluster.name,
            "registry": address(account.id, self._scope.region),
            "data_bucket": self._storage.data.id,
            "api_key_secrets": dict(self._store.clients),
        }
        if self._dns.name_servers is not None:
            exports["name_servers"] = self._dns.name_servers
        return exports
