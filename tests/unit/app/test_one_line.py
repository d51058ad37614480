"""Adding or dropping a feature is one line in the contract: trained and served by it without another change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.bundles import make_contract_bundle
from support.paths import ROOT

from app.contract import Contract
from app.main import create_app
from app.settings import Settings
from training.contract_file import parse
from training.contract_rows import RowsConfig, write

pytestmark = pytest.mark.anyio

BANK = (ROOT / "contracts" / "bank.yaml").read_text("utf-8")
BEFORE = "\n# What the bank no longer has"
ADDED = "  - {name: complaints, type: integer, minimum: 0, maximum: 12, unit: last year, blank: {constant: 0}}\n"
WITH_ONE_MORE = BANK.replace(BEFORE, ADDED + BEFORE)


@dataclass
class Served:
    """A model that was trained by the text of a contract, in the whole application."""

    contract: Contract
    client: httpx.AsyncClient

    async def score(self, **changes: Any) -> float:
        """The score of the contract's example with changes."""
        answer = await self.client.post("/v1/predict", json=self.contract.customer | changes)
        assert answer.status_code == 200, answer.text
        return float(answer.json()["churn_probability"])

    async def refused(self, **changes: Any) -> list[str]:
        """The columns for which the example with changes is refused."""
        answer = await self.client.post("/v1/predict", json=self.contract.customer | changes)
        assert answer.status_code == 422, answer.text
        return [error["location"][-1] for error in answer.json()["errors"]]

    async def documented(self) -> dict[str, Any]:
        """The properties of a customer in the OpenAPI document."""
        document = (await self.client.get("/openapi.json")).json()
        schemas = document["components"]["schemas"]
        at = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        return dict(schemas[at.rpartition("/")[2]]["properties"])


def serve(text: str, folder: Path) -> Served:
    """Train on generated customers of a contract, load the bundle, and serve it."""
    contract = parse(text, "bank.yaml")
    folder.mkdir()
    write(contract, RowsConfig(rows=1500, seed=3), str(folder / "customers.csv"))
    make_contract_bundle(folder / "bundle", contract, folder / "customers.csv")
    app = create_app(Settings(auth="off", model_source=str(folder / "bundle"), log_requests=False))
    return Served(contract, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test"))


async def test_one_line_adds_a_feature(tmp_path: Path) -> None:
    assert len(WITH_ONE_MORE.splitlines()) == len(BANK.splitlines()) + 1
    served = serve(WITH_ONE_MORE, tmp_path / "more")
    assert served.contract.names[-1] == "complaints"
    none, many = await served.score(complaints=0), await served.score(complaints=12)
    assert abs(none - many) > 0.05, "the prediction depends on the new feature"
    assert await served.score() == await served.score(complaints=None) == none, "left out, it is what the line says"
    assert await served.refused(complaints=13) == ["complaints"]
    assert (await served.documented())["complaints"]["anyOf"][0]["maximum"] == 12


async def test_one_line_adds_a_feature_that_may_not_be_blank(tmp_path: Path) -> None:
    line = ADDED.replace(", blank: {constant: 0}", "")
    served = serve(BANK.replace(BEFORE, line + BEFORE), tmp_path / "more")
    assert served.contract.customer["complaints"] == 6, "the example has the middle of the bounds"
    assert abs(await served.score(complaints=0) - await served.score(complaints=12)) > 0.05
    assert await served.refused(complaints=None) == ["complaints"]
    document = (await served.client.get("/openapi.json")).json()
    examples = document["components"]["schemas"]["Customer"]["examples"]
    assert examples == [served.contract.customer]


async def test_one_line_drops_it_again(tmp_path: Path) -> None:
    text = "".join(line for line in WITH_ONE_MORE.splitlines(keepends=True) if line != ADDED)
    assert text == BANK
    served = serve(text, tmp_path / "less")
    assert "complaints" not in served.contract.names
    assert 0 < await served.score() < 1
    assert await served.refused(complaints=1) == ["complaints"]
    assert "complaints" not in await served.documented()
    assert json.loads((await served.client.get("/v1/contract")).content) == json.loads(served.contract.canonical)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ({"type": "category", "categories": ["a", "b"]}, "a"),
        ({"type": "boolean"}, False),
        ({"type": "integer", "minimum": -3, "maximum": 4}, 0),
        ({"type": "number", "minimum": 0.5, "maximum": 1}, 0.75),
        ({"type": "number", "minimum": 0, "maximum": 1, "blank": "median"}, None),
    ],
)
def test_a_contract_needs_no_example(feature: dict[str, Any], value: object) -> None:
    document = {"contract": 1, "name": "t", "features": [{"name": "x"} | feature]}
    contract = Contract.model_validate_json(json.dumps(document))
    assert contract.customer == ({} if value is None else {"x": value})
    assert all(contract.by_name[name].fits(chosen) for name, chosen in contract.customer.items())
    with pytest.raises(ValueError, match="example: x is None" if value is not None else "example: x is 'z'"):
        Contract.model_validate_json(json.dumps(document | {"example": {"x": None if value is not None else "z"}}))
