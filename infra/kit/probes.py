"""Probes by HTTP, by TCP, or by a program of the image; none needs a shell."""

from __future__ import annotations

from pulumi_kubernetes.core.v1 import (
    ExecActionArgs,
    HTTPGetActionArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    ProbeArgs,
    SleepActionArgs,
    TCPSocketActionArgs,
)


def http(path: str, *, port: str = "http", period_seconds: int = 10, failures: int = 3) -> ProbeArgs:
    """Return a probe by GET, which must be answered with a status from 200 to 399 within 5 s."""
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path=path, port=port),
        period_seconds=period_seconds,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def tcp(*, port: str, period_seconds: int = 10, failures: int = 3) -> ProbeArgs:
    """Return a probe by a connection, which must be accepted within 5 s."""
    return ProbeArgs(
        tcp_socket=TCPSocketActionArgs(port=port),
        period_seconds=period_seconds,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def run(*command: str, period_seconds: int = 10, failures: int = 3) -> ProbeArgs:
    """Return a probe by a program in the container, which must exit with 0 within 5 s."""
    return ProbeArgs(
        exec_=ExecActionArgs(command=list(command)),
        period_seconds=period_seconds,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def sleep_before_stop(seconds: int) -> LifecycleArgs:
    """Keep a pod serving while load balancers learn that it goes away; the kubelet sleeps, so no shell is needed."""
    return LifecycleArgs(pre_stop=LifecycleHandlerArgs(sleep=SleepActionArgs(seconds=seconds)))
