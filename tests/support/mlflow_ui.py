"""MLflow's interface in a browser, as a person uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from support.servers import DOMAIN

from benchmarks.browser import Browser, browser


@contextmanager
def stack_browser() -> Iterator[Browser]:
    """A browser that finds the stack's hosts on this machine and does not check their certificate."""
    rules = f"MAP *.{DOMAIN} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with browser(f"--host-resolver-rules={rules}", "--ignore-certificate-errors") as window:
        yield window


def search_runs(window: Browser, port: int, password: str, *, experiment: str, shows: str) -> None:
    """Log in and open an experiment's runs, which the page finds by a POST; the run with this name must appear.

    Raises:
        BenchError: the page never shows the run.
    """
    host = f"mlflow.{DOMAIN}:{port}"
    # A page whose own address has a login may not fetch relative addresses, so the login is given once, before.
    # Not at /health, which asks for none.
    login = f"admin:{quote(password, safe='')}"
    window.open(f"https://{login}@{host}/api/2.0/mlflow/experiments/get?experiment_id=0", shows="experiment_id")
    window.open(f"https://{host}/#/experiments/{experiment}/runs", shows=shows)
