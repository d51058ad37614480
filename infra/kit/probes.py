"""Probes by HTTP or TCP: images need no shell for them."""

from __future__ import annotations

from pulumi_kubernetes.core.v1 import (
    HTTPGetActionArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    ProbeArgs,
    SleepActionArgs,
    TCPSocketActionArgs,
)


def http(path: str, *, port: str = "http", period_seconds: int = 10, failures: int = 3) -> ProbeArgs:
    """A GET that must answer 200 to 399 within 5 s."""
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path=path, port=port),
        period_seconds=period_seconds,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def tcp(*, port: str, period_seconds: int = 10, failures: int = 3) -> ProbeArgs:
    """A connection that must be accepted within 5 s."""
    return ProbeArgs(
        tcp_socket=TCPSocketActionArgs(port=port),
        period_seconds=period_seconds,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def sleep_before_stop(seconds: int) -> LifecycleArgs:
    """Keep serving while load balancers learn that the pod goes; the kubelet sleeps, no shell is needed."""
    return LifecycleArgs(pre_stop=LifecycleHandlerArgs(sleep=SleepActionArgs(seconds=seconds)))
