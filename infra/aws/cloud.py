"""The cloud of a stack on AWS, from the network to the secrets: everything that the cluster's half needs of it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_random

from infra import edges
from infra.aws import addons, grants
from infra.aws.addons import Addons, AddonsArgs
from infra.aws.budget import Budget, BudgetArgs
from infra.aws.capacity import SPOT, STORAGE_CLASS, Capacity, CapacityArgs
from infra.aws.cluster import DNS, Cluster, ClusterArgs
from infra.aws.database import PORT, DatabaseArgs
from infra.aws.database import Database as Rds
from infra.aws.dns import Addresses, AddressesArgs, Dns, DnsArgs
from infra.aws.facts import Facts, asked
from infra.aws.identity import Identity, IdentityArgs
from infra.aws.keys import Keys, KeysArgs
from infra.aws.network import Network, NetworkArgs
from infra.aws.node_groups import NodeGroups, NodeGroupsArgs
from infra.aws.registry import Registry, RegistryArgs, address
from infra.aws.rotation import Rotation, RotationArgs
from infra.aws.scope import Scope
from infra.aws.secret_store import SecretStore, SecretStoreArgs
from infra.aws.storage import Storage, StorageArgs
from infra.aws.waf import Waf, WafArgs
from infra.cloud import CloudOutputs, Database, LoadBalancer
from infra.config import Settings
from infra.naming import POSTGRES

EBS_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"


@dataclass(frozen=True, kw_only=True)
class AwsCloudArgs:
    """The stack in its account, and the hosts that clients reach."""

    scope: Scope
    hosts: tuple[str, ...]


def provider(settings: Settings, facts: Facts | None) -> aws.Provider:
    """AWS in one region and, once it is known, one account, with the stack's tags on everything.

    Nothing is looked up that only a call could tell: credentials are checked by the first thing that is made.
    """
    account_id = settings.account.account_id if facts is None else facts.account_id
    tags = Scope(settings=settings, facts=facts or Facts(account_id="", zones=())).tags
    return aws.Provider(
        "aws",
        region=settings.account.region,
        allowed_account_ids=[account_id] if account_id else None,
        default_tags=aws.ProviderDefaultTagsArgs(tags=tags),
    )


def build(settings: Settings, hosts: tuple[str, ...], facts: Facts | None) -> CloudOutputs:
    """The whole cloud; what only AWS knows is asked of it, unless ``facts`` say it."""
    made = provider(settings, facts)
    scope = Scope(settings=settings, facts=facts or asked(settings, made))
    providers: list[pulumi.ProviderResource] = [made, eks.Provider("eks"), pulumi_random.Provider("random")]
    args = AwsCloudArgs(scope=scope, hosts=hosts)
    return AwsCloud("cloud", args, pulumi.ResourceOptions(providers=providers)).outputs


class AwsCloud(pulumi.ComponentResource):
    """Keys, network, cluster, identities, buckets, database, secrets, edge and budget."""

    outputs: CloudOutputs

    def __init__(self, name: str, args: AwsCloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:aws:AwsCloud", name, {}, opts)
        scope, self._inside = args.scope, pulumi.ResourceOptions(parent=self)
        self._keys = Keys("keys", KeysArgs(scope=scope), self._inside)
        self._network = Network("network", NetworkArgs(scope=scope, log_key=self._keys.logs), self._inside)
        self._cluster = self._make_cluster(scope)
        storage = Storage("storage", StorageArgs(scope=scope, key=self._keys.data), self._inside)
        database, superuser = self._database(scope)
        store_args = SecretStoreArgs(scope=scope, key=self._keys.secrets, database=database, superuser=superuser)
        store = SecretStore("secrets", store_args, self._inside)
        self._rotation(args, store)
        dns = Dns("dns", DnsArgs(scope=scope, domain=scope.settings.ingress.domain, hosts=args.hosts), self._inside)
        if scope.settings.registry.create:
            Registry("registry", RegistryArgs(scope=scope, key=self._keys.data), self._inside)
        Budget("budget", BudgetArgs(scope=scope), self._inside)
        things = grants.Things(
            secrets=store.sources, storage=storage, data_key=self._keys.data, secret_key=self._keys.secrets
        )
        self.outputs = self._outputs(args, storage, database, store, dns, self._identities(scope, things))
        self.register_outputs({})

    def _make_cluster(self, scope: Scope) -> Cluster:
        """The cluster with its add-ons, and its nodes where they are not Auto Mode's."""
        keys, network, settings = self._keys, self._network, scope.settings.eks
        cluster_args = ClusterArgs(
            scope=scope,
            vpc_id=network.vpc_id,
            subnets=network.private_subnets,
            data_key=keys.data,
            cluster_key=keys.cluster,
            log_key=keys.logs,
        )
        cluster = Cluster("cluster", cluster_args, self._after(network))
        inside = self._after(cluster)
        if settings.nodes == "managed":
            early = AddonsArgs(scope=scope, addons=addons.BEFORE_NODES)
            first = Addons("addons-early", early, inside)
            nodes = NodeGroupsArgs(
                scope=scope, subnets=network.private_subnets, role=cluster.roles.node.arn, key=keys.data
            )
            inside = self._after(cluster, NodeGroups("nodes", nodes, self._after(cluster, first)))
        roles = self._addon_roles(scope, cluster, inside)
        wanted = addons.wanted(settings.nodes, settings.identity)
        Addons("addons", AddonsArgs(scope=scope, addons=wanted, roles=roles), inside)
        return cluster

    def _addon_roles(
        self, scope: Scope, cluster: Cluster, inside: pulumi.ResourceOptions
    ) -> dict[str, pulumi.Input[str]]:
        """Managed nodes have the volume driver as an add-on, which makes volumes with a role of its own."""
        if scope.settings.eks.nodes == "auto":
            return {}
        args = IdentityArgs(
            scope=scope,
            namespace="kube-system",
            account="ebs-csi-controller-sa",
            statements=[],
            issuer=cluster.issuer,
            issuer_arn=cluster.issuer_arn,
            managed_policy=EBS_POLICY,
        )
        return {addons.VOLUMES.name: Identity("identity-volumes", args, inside).arn}

    def _after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(resources))

    def _database(self, scope: Scope) -> tuple[Database, pulumi.Output[str] | None]:
        """Where PostgreSQL answers, and the secret of its superuser where RDS makes it."""
        if scope.settings.database.kind == "in-cluster":
            return Database(host=POSTGRES.host), None
        keys, network = self._keys, self._network
        args = DatabaseArgs(
            scope=scope,
            vpc_id=network.vpc_id,
            subnets=network.database_subnets,
            clients=self._cluster.node_group,
            data_key=keys.data,
            secret_key=keys.secrets,
            log_key=keys.logs,
        )
        made = Rds("database", args, self._inside)
        return Database(host=made.host, port=PORT, cidrs=scope.addresses.database), made.master_secret

    def _rotation(self, args: AwsCloudArgs, store: SecretStore) -> None:
        domain = args.scope.settings.ingress.domain
        rotation_args = RotationArgs(
            scope=args.scope,
            store=store,
            secret_key=self._keys.secrets,
            log_key=self._keys.logs,
            urls={name: f"https://{name}.{domain}" for name in ("mlflow", "grafana")},
        )
        Rotation("rotation", rotation_args, self._inside)

    def _identities(self, scope: Scope, things: grants.Things) -> dict[str, Identity]:
        """A role for each workload that has to do with AWS, by the workload's name."""
        wanted = {workload: grants.statements(workload, things) for workload in edges.workloads(scope.settings)}
        return {
            workload.name: Identity(
                f"identity-{workload.name}",
                IdentityArgs(
                    scope=scope,
                    namespace=workload.namespace,
                    account=workload.name,
                    statements=statements,
                    issuer=self._cluster.issuer,
                    issuer_arn=self._cluster.issuer_arn,
                ),
                self._inside,
            )
            for workload, statements in wanted.items()
            if statements
        }

    def _outputs(
        self,
        args: AwsCloudArgs,
        storage: Storage,
        database: Database,
        store: SecretStore,
        dns: Dns,
        identities: dict[str, Identity],
    ) -> CloudOutputs:
        scope, plan = args.scope, args.scope.addresses
        irsa = scope.settings.eks.identity == "irsa"
        return CloudOutputs(
            secrets=store.sources,
            database=database,
            region=scope.region,
            storage_class=STORAGE_CLASS,
            artifacts_bucket=storage.artifacts.id,
            backups_bucket=storage.backups.id,
            data_bucket=storage.data.id,
            metrics_bucket=None if storage.metrics is None else storage.metrics.id,
            roles={name: identity.arn for name, identity in identities.items()} if irsa else {},
            pod_identity=not irsa,
            load_balancer=self._balancer(scope, dns),
            zones=len(scope.facts.zones),
            spot=SPOT,
            api_server_cidrs=(plan.vpc,),
            node_cidrs=plan.private,
            # Auto Mode answers on each node, by the address of the Service.
            dns_cidrs=(DNS, *plan.private) if scope.settings.eks.nodes == "auto" else (),
            kubeconfig=self._cluster.kubeconfig,
            capacity=lambda options: Capacity("capacity", self._capacity(scope), options),
            addresses=lambda balancer: Addresses(
                "addresses", AddressesArgs(zone_id=dns.zone_id, hosts=args.hosts, balancer=balancer), self._inside
            ),
            outputs=self._exports(scope, store, dns),
        )

    def _balancer(self, scope: Scope, dns: Dns) -> LoadBalancer:
        edge = scope.settings.edge
        firewall = Waf("waf", WafArgs(scope=scope, log_key=self._keys.logs), self._inside).arn if edge.waf else None
        return LoadBalancer(
            kind=edge.balancer,
            auto_mode=scope.settings.eks.nodes == "auto",
            certificate_arn=dns.certificate,
            tags=scope.tags,
            vpc_cidr=scope.addresses.vpc,
            firewall_arn=firewall,
        )

    def _capacity(self, scope: Scope) -> CapacityArgs:
        return CapacityArgs(
            scope=scope,
            subnets=self._network.private_subnets,
            node_group=self._cluster.node_group,
            node_role=self._cluster.roles.node.name,
            data_key=self._keys.data,
        )

    def _exports(self, scope: Scope, store: SecretStore, dns: Dns) -> dict[str, pulumi.Input[object]]:
        found: dict[str, pulumi.Input[object]] = {
            "account": scope.facts.account_id,
            "zones": list(scope.facts.zones),
            "cluster": self._cluster.name,
            "registry": address(scope.facts.account_id, scope.region),
            "api_key_secrets": dict(store.clients),
        }
        if dns.name_servers is not None:
            found["name_servers"] = dns.name_servers
        return found
