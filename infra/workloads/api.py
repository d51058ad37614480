"""The prediction API: a Deployment that scales on CPU and never loses a request when its pods come and go."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.autoscaling.v2 import (
    CrossVersionObjectReferenceArgs,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehaviorArgs,
    HorizontalPodAutoscalerSpecArgs,
    HPAScalingPolicyArgs,
    HPAScalingRulesArgs,
    MetricSpecArgs,
    MetricTargetArgs,
    ResourceMetricSourceArgs,
)
from pulumi_kubernetes.core.v1 import ContainerArgs, VolumeArgs

from infra import secret_files
from infra.config import ApiSettings
from infra.kit import pod, probes
from infra.kit.meta import named, selector
from infra.kit.options import child
from infra.naming import API, MLFLOW
from infra.parts.budget import one_at_a_time
from infra.parts.context import Context
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip

CPU_TARGET_PERCENT = 70
DRAIN_SECONDS = 10
"""After SIGTERM the process still answers, while the last load balancers learn of it."""
PRE_STOP_SECONDS = 5
"""Before SIGTERM: the endpoint is gone from the ingress by then."""
LONGEST_REQUEST_SECONDS = 15
GRACE_SECONDS = PRE_STOP_SECONDS + DRAIN_SECONDS + LONGEST_REQUEST_SECONDS
READY_SECONDS = 900
"""How long `pulumi up` waits: a first deployment has no model until the first training has ended."""

MODEL_CACHE = "/var/cache/churn/models"
KEYS = "/run/secrets/churn/api-keys"
REGISTRY_LOGIN = "/run/secrets/churn/mlflow"
CACHE_LOGIN = "/run/secrets/churn/cache"


@dataclass(frozen=True, kw_only=True)
class ApiArgs:
    """Scale and size; whether a cache is there to be used."""

    settings: ApiSettings
    context: Context
    cache: bool


class Api(pulumi.ComponentResource):
    """ServiceAccount, Deployment, Service, HPA and PDB of the API."""

    def __init__(self, name: str, args: ApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Api", name, {}, opts)
        account = service_account(self, name, API, args.context.cloud.roles)
        volumes = self._volumes(name, args)
        deployment = self._deployment(name, args, volumes, account)
        cluster_ip(self, name, API)
        self._autoscaler(name, args.settings, deployment)
        one_at_a_time(self, name, API)
        self.register_outputs({})

    def _volumes(self, name: str, args: ApiArgs) -> list[VolumeArgs]:
        wanted = [secret_files.API_KEYS, secret_files.MLFLOW_API]
        if args.cache:
            wanted.append(secret_files.CACHE_LOGIN)
        return [args.context.secret(self, name, API, secret) for secret in wanted]

    def _deployment(self, name: str, args: ApiArgs, secrets: list[VolumeArgs], account: pulumi.Resource) -> Deployment:
        scratch = [pod.empty_dir("models", size="512Mi"), pod.empty_dir("tmp", size="64Mi")]
        return Deployment(
            f"{name}-deployment",
            metadata=named(API, annotations={"pulumi.com/timeoutSeconds": str(READY_SECONDS)}),
            spec=DeploymentSpecArgs(
                # No replicas: the autoscaler owns them.
                selector=selector(API),
                revision_history_limit=3,
                progress_deadline_seconds=READY_SECONDS,
                strategy=DeploymentStrategyArgs(
                    type="RollingUpdate", rolling_update=RollingUpdateDeploymentArgs(max_surge="25%", max_unavailable=0)
                ),
                template=pod.pod(
                    API,
                    containers=[self._container(args)],
                    volumes=[*secrets, *scratch],
                    grace_seconds=GRACE_SECONDS,
                    spread_over=pod.spread(API, zones=args.context.cloud.zones),
                ),
            ),
            opts=child(self, after=[account]),
        )

    def _container(self, args: ApiArgs) -> ContainerArgs:
        cache = {"SETTINGS_DIR": CACHE_LOGIN, "PREDICTION_CACHE": "true"} if args.cache else {}
        cache_mount = [pod.mount(secret_files.CACHE_LOGIN.name, CACHE_LOGIN)] if args.cache else []
        return pod.container(
            API,
            image=args.context.images.reference("api"),
            resources=pod.resources(args.settings.resources),
            probes=pod.Probes(
                startup=probes.http("/live", period_seconds=2, failures=30),
                readiness=probes.http("/ready", period_seconds=5, failures=2),
                liveness=probes.http("/live"),
            ),
            env={
                "HOST": "0.0.0.0",  # noqa: S104 - a pod's own address; network policies say who reaches it
                "PORT": str(API.ports["http"]),
                "API_KEYS_FILE": f"{KEYS}/keys.json",
                "MLFLOW_TRACKING_URI": MLFLOW.url(),
                "MLFLOW_CREDENTIALS_DIR": REGISTRY_LOGIN,
                "MODEL_CACHE_DIR": MODEL_CACHE,
                "DRAIN_SECONDS": str(DRAIN_SECONDS),
                "LOG_REQUESTS": str(args.settings.log_requests).lower(),
                "OMP_NUM_THREADS": "1",
                **cache,
            },
            mounts=[
                pod.mount(secret_files.API_KEYS.name, KEYS),
                pod.mount(secret_files.MLFLOW_API.name, REGISTRY_LOGIN),
                pod.mount("models", MODEL_CACHE, read_only=False),
                pod.tmp_mount(),
                *cache_mount,
            ],
            lifecycle=probes.sleep_before_stop(PRE_STOP_SECONDS),
        )

    def _autoscaler(self, name: str, settings: ApiSettings, deployment: Deployment) -> None:
        target = MetricTargetArgs(type="Utilization", average_utilization=CPU_TARGET_PERCENT)
        HorizontalPodAutoscaler(
            f"{name}-autoscaler",
            metadata=named(API),
            spec=HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=CrossVersionObjectReferenceArgs(
                    api_version="apps/v1", kind="Deployment", name=API.name
                ),
                min_replicas=settings.min_replicas,
                max_replicas=settings.max_replicas,
                metrics=[MetricSpecArgs(type="Resource", resource=ResourceMetricSourceArgs(name="cpu", target=target))],
                behavior=_behavior(),
            ),
            opts=child(self, after=[deployment]),
        )


def _behavior() -> HorizontalPodAutoscalerBehaviorArgs:
    """Up at once, doubling each half minute; down after five calm minutes, at most a quarter a minute."""
    return HorizontalPodAutoscalerBehaviorArgs(
        scale_up=HPAScalingRulesArgs(
            stabilization_window_seconds=0,
            select_policy="Max",
            policies=[
                HPAScalingPolicyArgs(type="Percent", value=100, period_seconds=30),
                HPAScalingPolicyArgs(type="Pods", value=2, period_seconds=30),
            ],
        ),
        scale_down=HPAScalingRulesArgs(
            stabilization_window_seconds=300,
            select_policy="Max",
            policies=[HPAScalingPolicyArgs(type="Percent", value=25, period_seconds=60)],
        ),
    )
