"""From a killed API to the people who are called, in real time: real servers, the rules and routes of prod."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bundles import make_bundle
from support.servers import HOST, Api, wait_until
from support.watched import watched

from infra import naming as n
from infra.rules_files import rule_files

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(600),
    pytest.mark.long(seconds=150, together=__name__),
]
PAGE_SECONDS = 180
"""What the platform promises from the kill to the page."""


def test_a_killed_api_pages_people_over_every_channel_and_then_says_that_it_is_over(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    make_bundle(bundle)
    rules = rule_files([n.API])
    with Api(tmp_path / "api", model_source=bundle) as api:
        targets = {"api": f"{HOST}:{api.port}"}
        with watched(tmp_path / "watched", targets, rules=rules, speed=1) as platform:
            wait_until(lambda: platform.prometheus.query('up{job="api"} == 1'), "the API is scraped")
            assert not platform.inbox.about("ApiDown")
            killed = time.monotonic()
            api.kill()
            wait_until(
                lambda: len({m.channel for m in platform.inbox.about("ApiDown")}) == 3,
                "all three channels",
                PAGE_SECONDS,
            )
            pages = {message.channel: message for message in platform.inbox.about("ApiDown")}
            seconds = {channel: round(message.at - killed) for channel, message in pages.items()}
            record_property("seconds", seconds)
            assert pages.keys() == {"slack", "pagerduty", "email"}
            assert pages["slack"].title == "[FIRING] critical: ApiDown (embedded)"
            for message in pages.values():
                assert "No pod of the API answers" in message.text
                assert "Since 2" in message.text
                assert "Runbook: https://docs.example.com/churn/docs/runbooks/api.md#apidown" in message.text
                assert "Dashboard: https://grafana.example.com/d/churn-api" in message.text
            api.start()
            wait_until(
                lambda: len({m.channel for m in platform.inbox.about("ApiDown", resolved=True)}) == 3, "resolved", 300
            )
            assert platform.inbox.broken == []
