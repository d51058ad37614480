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
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs

from app.names import MODEL_NAME
from infra import secret_files
from infra.config import ApiSettings
from infra.kit import pod, probes
from infra.kit.meta import named, selector, waited
from infra.kit.options import child
from infra.naming import API, MLFLOW, PROJECT
from infra.parts.budget import one_at_a_time
from infra.parts.context import Context, MountedSecret
from infra.parts.identity import service_account
from infra.parts.service import cluster_ip

CPU_TARGET_PERCENT = 70
DRAIN_SECONDS = 10
"""How long the process still answers after SIGTERM, while the last load balancers learn of it."""
PRE_STOP_SECONDS = 5
"""How long SIGTERM is delayed: by then the ingress no longer has the endpoint."""
LONGEST_REQUEST_SECONDS = 15
GRACE_SECONDS = PRE_STOP_SECONDS + DRAIN_SECONDS + LONGEST_REQUEST_SECONDS
READY_SECONDS = 900
"""How long `pulumi up` waits: for a node and the image, and for MLflow, if it restarts just then."""

MODEL_CACHE = f"/var/cache/{PROJECT}/models"
REGISTRY_LOGIN = secret_files.MLFLOW_API.at("mlflow")
CACHE_LOGIN = secret_files.CACHE_LOGIN.at("cache")


@dataclass(frozen=True, kw_only=True)
class ApiArgs:
    """Scale and size, and whether the stack has a cache."""

    settings: ApiSettings
    context: Context
    cache: bool


class Api(pulumi.ComponentResource):
    """ServiceAccount, Deployment, Service, HPA and PDB of the API."""

    def __init__(self, name: str, args: ApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("churn:workloads:Api", name, {}, opts)
        account = service_account(self, name, API, args.context)
        deployment = self._deployment(name, args, self._secrets(name, args), account)
        cluster_ip(self, name, API, wait_seconds=READY_SECONDS)
        self._autoscaler(name, args.settings, deployment)
        one_at_a_time(self, name, API)
        self.register_outputs({})

    def _secrets(self, name: str, args: ApiArgs) -> list[MountedSecret]:
        specs = [secret_files.API_KEYS, REGISTRY_LOGIN, *([CACHE_LOGIN] if args.cache else [])]
        return [args.context.secret(self, name, API, spec) for spec in specs]

    def _deployment(
        self, name: str, args: ApiArgs, secrets: list[MountedSecret], account: pulumi.Resource
    ) -> Deployment:
        scratch = [pod.empty_dir("models", size="512Mi"), pod.empty_dir("tmp", size="64Mi")]
        spec = PodSpecArgs(
            containers=[_container(args, secrets)],
            volumes=[*(secret.volume for secret in secrets), *scratch],
            termination_grace_period_seconds=GRACE_SECONDS,
            topology_spread_constraints=pod.spread(API, zones=args.context.cloud.zones),
        )
        return Deployment(
            f"{name}-deployment",
            metadata=named(API, annotations=waited(READY_SECONDS)),
            spec=DeploymentSpecArgs(
                # No replicas: the autoscaler owns them.
                selector=selector(API),
                revision_history_limit=3,
                progress_deadline_seconds=READY_SECONDS,
                strategy=DeploymentStrategyArgs(
                    type="RollingUpdate", rolling_update=RollingUpdateDeploymentArgs(max_surge="25%", max_unavailable=0)
                ),
                template=pod.harden(API, spec),
            ),
            opts=child(self, after=[account]),
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


def _container(args: ApiArgs, secrets: list[MountedSecret]) -> ContainerArgs:
    keys, registry_login, *cache_login = secrets
    # The default is the API's own: a stack that does not name models has no variable.
    models = {} if args.settings.models == (MODEL_NAME,) else {"MODELS": ",".join(args.settings.models)}
    cache = {"SETTINGS_DIR": cache_login[0].path, "PREDICTION_CACHE": "true"} if cache_login else {}
    return ContainerArgs(
        name=API.name,
        image=args.context.images.reference("api"),
        resources=pod.resources(args.settings.resources),
        startup_probe=probes.http("/live", period_seconds=2, failures=30),
        readiness_probe=probes.http("/ready", period_seconds=5, failures=2),
        liveness_probe=probes.http("/live"),
        env=pod.environment(
            {
                "HOST": "0.0.0.0",  # noqa: S104 - a pod's own address; network policies say who reaches it
                "PORT": str(API.ports["http"]),
                "API_KEYS_FILE": keys.file("keys.json"),
                "MLFLOW_TRACKING_URI": MLFLOW.url(),
                "MLFLOW_CREDENTIALS_DIR": registry_login.path,
                "MODEL_CACHE_DIR": MODEL_CACHE,
                "DRAIN_SECONDS": str(DRAIN_SECONDS),
                "LOG_REQUESTS": str(args.settings.log_requests).lower(),
                "CORS_ORIGINS": " ".join(args.settings.cors_origins),
                "OMP_NUM_THREADS": "1",
                **models,
                **cache,
            }
        ),
        volume_mounts=[
            keys.mount,
            registry_login.mount,
            pod.mount("models", MODEL_CACHE, read_only=False),
            pod.tmp_mount(),
            *(login.mount for login in cache_login),
        ],
        lifecycle=probes.sleep_before_stop(PRE_STOP_SECONDS),
    )


def _behavior() -> HorizontalPodAutoscalerBehaviorArgs:
    """Scale up at once, doubling every 30 s; scale down after five quiet minutes, by at most a quarter a minute."""
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
