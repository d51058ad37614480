"""Cross-origin requests to the real process, over its real parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from support.bundles import random_customers, write_keys
from support.servers import Api

pytestmark = pytest.mark.service

SHOP = "https://shop.example"
CUSTOMER = random_customers(1, seed=24)[0]
ASK = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-api-key"}


def test_a_page_of_an_allowed_origin_asks_predicts_and_reads_refusals(bundles: list[Path], tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.json", {"shop": ["predict"]}, rates={"shop": "1/day"})
    settings: dict[str, Any] = {"auth": "required", "api_keys_file": tmp_path / "keys.json", "cors_origins": SHOP}
    with Api(tmp_path / "api", model_source=bundles[0], **settings) as api:
        asked = api.client.options("/v1/predict", headers={"origin": SHOP, **ASK})
        assert asked.status_code == httpx.codes.NO_CONTENT
        assert asked.headers["access-control-allow-origin"] == SHOP
        assert "content-length" not in asked.headers
        assert "transfer-encoding" not in asked.headers
        page = {"origin": SHOP, "x-api-key": keys["shop"]}
        answers = [api.client.post("/v1/predict", json=CUSTOMER, headers=page) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert {answer.headers["access-control-allow-origin"] for answer in answers} == {SHOP}
        foreign = api.client.options("/v1/predict", headers={"origin": "https://attacker.example", **ASK})
        assert foreign.status_code == httpx.codes.UNAUTHORIZED
        assert "access-control-allow-origin" not in foreign.headers


def test_by_default_no_page_may(bundles: list[Path], tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.json", {"shop": ["predict"]})
    settings: dict[str, Any] = {"auth": "required", "api_keys_file": tmp_path / "keys.json"}
    with Api(tmp_path / "api", model_source=bundles[0], **settings) as api:
        assert api.client.options("/v1/predict", headers={"origin": SHOP, **ASK}).status_code == 401
        answer = api.client.post("/v1/predict", json=CUSTOMER, headers={"origin": SHOP, "x-api-key": keys["shop"]})
        assert answer.status_code == httpx.codes.OK
        assert not any(name.startswith("access-control-") for name in answer.headers)
