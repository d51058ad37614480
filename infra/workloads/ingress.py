"""The edge: F5 NGINX Ingress Controller, which terminates TLS, redirects HTTP and applies the limits of the routes.

It watches only Ingress objects, in the namespaces that have routes; custom resources, snippets in annotations and
telemetry are off.
Rates are limited by client address, so it must be the real one. It arrives unchanged: the Service keeps traffic on the
node that received it, and AWS's NLB preserves it. Nothing that a client could forge, such as a PROXY line or a header,
is trusted. Behind an ALB the address is in a header, which is trusted only if it comes from the VPC's own addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgs,
    PodSpecArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import IngressClass, IngressClassSpecArgs

from infra.cloud import CloudOutputs
from infra.config import IngressSettings
from infra.kit import balancer, pod, probes
from infra.kit.meta import labels, named, selector, unnamed
from infra.kit.options import child
from infra.naming import INGRESS, PROJECT
from infra.parts.budget import one_at_a_time
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.workloads import ingress_nginx as nginx
from infra.workloads import ingress_services as services
from infra.workloads.ingress_access import LOCK, ROUTED, grant
from infra.workloads.ingress_internal import Internal

CLASS: Final = PROJECT
"""Not `nginx`, which another controller in the cluster may use already."""
CONTROLLER: Final = "nginx.org/ingress-controller"

PRE_STOP_SECONDS: Final = 30
"""How long a pod of a local cluster serves on after it has been told to end, while nodes learn of that."""
BALANCED_PRE_STOP_SECONDS: Final = 150
"""The same behind a balancer of AWS, which sends new connections to a target for two minutes after it has been
deregistered, whatever its deregistration delay (aws-load-balancer-controller 2366, containers-roadmap 470). AWS itself
measured 127 and 128 s (AWS China blog, on the readiness gate)."""
SHUTDOWN_SECONDS: Final = 60
"""How long open connections may continue after that."""
SPARE_SECONDS: Final = 10
"""Until the pod is killed."""

CAPABILITIES: Final = ("NET_BIND_SERVICE",)
"""The image's two programs have this file capability with the effective bit (nginx/kubernetes-ingress,
`build/Dockerfile` and `build/scripts/common.sh`). The kernel refuses to start such a file if the container may not have
the capability (kubernetes/ingress-nginx 10002, 11331); Pod Security `restricted` allows this one."""
LOW_PORTS: Final = {"net.ipv4.ip_unprivileged_port_start": "0"}
"""Lets an unprivileged user listen on 80 and 443 where the runtime gives such a user the capability only as a bound
(moby, `oci.SetCapabilities`): without a way to more privileges, the program then starts but does not gain it."""
WRITABLE: Final = {
    "etc": ("/etc/nginx", "32Mi"),
    "cache": ("/var/cache/nginx", "2Gi"),
    "lib": ("/var/lib/nginx", "32Mi"),
    "state": ("/var/lib/nginx/state", "32Mi"),
    "log": ("/var/log/nginx", "32Mi"),
}
"""Folders that NGINX writes to, as its documentation lists them; the cache buffers request bodies."""
SCRATCH: Final = "3Gi"


def pre_stop_seconds(cloud: CloudOutputs) -> int:
    """Return how long a pod serves on while load balancers learn that it goes away."""
    return PRE_STOP_SECONDS if cloud.load_balancer is None else BALANCED_PRE_STOP_SECONDS


def trusted_proxy_cidr(cloud: CloudOutputs) -> str | None:
    """Return the network whose header with the client's address is trusted: that of an ALB, or None."""
    proxy = cloud.load_balancer
    return proxy.vpc_cidr if proxy is not None and proxy.kind == "alb" else None


def internal_hosts(args: IngressArgs) -> Internal | None:
    """Return which hosts are for clients inside, and who these are; None for a local stack, which is inside itself."""
    proxy = args.context.cloud.load_balancer
    return None if proxy is None else Internal(hosts=args.internal_hosts, cidrs=proxy.internal_cidrs)


@dataclass(frozen=True, kw_only=True)
class IngressArgs:
    """Size and reach, the Secret with the certificate, the limits that errors name, and whether pods are in a mesh."""

    settings: IngressSettings
    context: Context
    certificate: pulumi.Input[str]
    max_bodies: Mapping[str, str]
    internal_hosts: Sequence[str]
    """Hosts that on AWS only clients inside may use."""
    meshed: bool


class Ingress(pulumi.ComponentResource):
    """The controller with its rights and its class, and the Services that clients reach."""

    address: pulumi.Output[str] | None
    """Name of the public load balancer, where the Service makes one."""
    internal_address: pulumi.Output[str] | None
    """Name of the one that has addresses of the VPC only."""

    def __init__(self, name: str, args: IngressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Ingress", name, {}, opts)
        account = service_account(self, name, INGRESS, args.context)
        rights = grant(self, name, CLASS)
        ingress_class = IngressClass(
            f"{name}-class",
            metadata=ObjectMetaArgs(name=CLASS, labels=labels(INGRESS)),
            spec=IngressClassSpecArgs(controller=CONTROLLER),
            opts=child(self),
        )
        config = ConfigMap(
            f"{name}-config",
            metadata=unnamed(INGRESS),
            data=nginx.config(
                args.settings.resources.cpu_limit,
                shutdown_seconds=SHUTDOWN_SECONDS,
                max_bodies=args.max_bodies,
                trusted_proxy_cidr=trusted_proxy_cidr(args.context.cloud),
                internal=internal_hosts(args),
            ),
            opts=child(self),
        )
        self._deployment(name, args, config, [account, *rights, ingress_class])
        cloud = args.context.cloud
        public = services.service(self, name, args.settings, cloud)
        internal = services.internal_service(self, name, args.settings, cloud)
        self.address = balancer.hostname(public.status) if services.gets_address(args.settings, cloud) else None
        self.internal_address = None if internal is None else balancer.hostname(internal.status)
        if args.settings.replicas > 1:
            one_at_a_time(self, name, INGRESS)
        self.register_outputs({})

    def _deployment(self, name: str, args: IngressArgs, config: ConfigMap, needs: list[pulumi.Resource]) -> None:
        # A sidecar would hide the clients' addresses, so connections to the edge's own ports bypass it.
        bypass = {"traffic.sidecar.istio.io/excludeInboundPorts": "80,443"} if args.meshed else None
        spec = PodSpecArgs(
            init_containers=[_copy_of_etc(args)],
            containers=[_container(args, config.metadata.name)],
            volumes=[pod.empty_dir(volume, size=size) for volume, (_, size) in WRITABLE.items()],
            automount_service_account_token=True,
            termination_grace_period_seconds=(pre_stop_seconds(args.context.cloud) + SHUTDOWN_SECONDS + SPARE_SECONDS),
            topology_spread_constraints=pod.spread(INGRESS, zones=args.context.cloud.zones),
        )
        Deployment(
            f"{name}-deployment",
            metadata=named(INGRESS, annotations=services.waits(args.context.cloud)),
            spec=DeploymentSpecArgs(
                replicas=args.settings.replicas,
                selector=selector(INGRESS),
                revision_history_limit=3,
                strategy=DeploymentStrategyArgs(
                    type="RollingUpdate", rolling_update=RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0)
                ),
                template=pod.harden(INGRESS, spec, annotations=bypass, sysctls=LOW_PORTS, capabilities=CAPABILITIES),
            ),
            opts=child(self, after=needs),
        )


def _copy_of_etc(args: IngressArgs) -> ContainerArgs:
    """Copy the image's /etc/nginx to the volume mounted there, which is how upstream makes the root read-only."""
    return ContainerArgs(
        name="copy-etc",
        image=args.context.images.reference("ingress"),
        resources=pod.resources(args.settings.resources),
        command=["cp", "-vdR", "/etc/nginx/.", "/mnt/etc"],
        ports=[],
        volume_mounts=[pod.mount("etc", "/mnt/etc", read_only=False)],
    )


def _container(args: IngressArgs, config: pulumi.Output[str]) -> ContainerArgs:
    return ContainerArgs(
        name=INGRESS.name,
        image=args.context.images.reference("ingress"),
        resources=pod.resources(args.settings.resources, scratch=SCRATCH),
        startup_probe=probes.http("/nginx-ready", port="ready", period_seconds=2, failures=60),
        readiness_probe=probes.http("/nginx-ready", port="ready", period_seconds=5, failures=2),
        liveness_probe=probes.http("/nginx-ready", port="ready"),
        args=_arguments(args, config),
        env=[pod.pod_field("POD_NAMESPACE", "metadata.namespace"), pod.pod_field("POD_NAME", "metadata.name")],
        volume_mounts=[pod.mount(volume, path, read_only=False) for volume, (path, _) in WRITABLE.items()],
        lifecycle=probes.sleep_before_stop(pre_stop_seconds(args.context.cloud)),
    )


def _arguments(args: IngressArgs, config: pulumi.Output[str]) -> list[pulumi.Input[str]]:
    own = INGRESS.namespace
    certificate = pulumi.Output.concat(own, "/", args.certificate)
    return [
        pulumi.Output.concat("-nginx-configmaps=", own, "/", config),
        # For every host of ours, and for connections that name no host, as AWS's load balancer may make them.
        pulumi.Output.concat("-wildcard-tls-secret=", certificate),
        pulumi.Output.concat("-default-server-tls-secret=", certificate),
        f"-ingress-class={CLASS}",
        f"-watch-namespace={','.join((own, *ROUTED))}",
        f"-watch-secret-namespace={own}",
        "-enable-custom-resources=false",
        "-enable-snippets=false",
        "-enable-telemetry-reporting=false",
        "-report-ingress-status=true",
        f"-external-service={INGRESS.name}",
        "-enable-leader-election=true",
        f"-leader-election-lock-name={LOCK}",
        "-nginx-status=false",
        "-ready-status=true",
        f"-ready-status-port={INGRESS.ports['ready']}",
        "-enable-prometheus-metrics=true",
        f"-prometheus-metrics-listen-port={INGRESS.ports['metrics']}",
        "-disable-ipv6=true",
        "-log-format=json",
    ]
