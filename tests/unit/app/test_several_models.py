"""Several models behind one API, each by its own contract: routes, keys, readiness, metrics, and swaps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from support.api import Api, body
from support.bundles import make_bank_bundle, write_keys
from support.contracts import small_bank, with_feature
from support.fake_mlflow import FakeMlflow

from app import main
from app.contract import Contract
from app.main import create_app
from app.schemas import telco
from app.service import Service
from app.settings import Settings

pytestmark = pytest.mark.anyio

_JSON = {"content-type": "application/json"}
BANK = small_bank()


@dataclass
class Several:
    """A running API with the models ``churn`` (telco) and ``bank`` (another contract)."""

    api: Api
    registries: dict[str, FakeMlflow]

    async def post(self, path: str, content: object, key: str = "both") -> httpx.Response:
        async with self.api.client(key) as client:
            return await client.post(path, content=json.dumps(content), headers=_JSON)

    async def get(self, path: str, key: str = "both", **headers: str) -> httpx.Response:
        async with self.api.client(key) as client:
            return await client.get(path, headers=headers)


@pytest.fixture(scope="session")
def bank_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bank")
    make_bank_bundle(folder, BANK)
    return folder


@pytest.fixture
async def several(
    bundle: Path, other_bundle: Path, bank_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Several]:
    registries = {
        "churn": FakeMlflow(versions={"1": bundle, "2": other_bundle}, alias="1"),
        "bank": FakeMlflow(versions={"7": bank_bundle}, alias="7", name="bank"),
    }
    monkeypatch.setattr(main, "_open_registry", lambda settings, name: registries[name].registry(settings, name))
    keys_file = tmp_path / "keys.json"
    keys = write_keys(
        keys_file,
        {"both": ["predict", "admin"], "teller": ["predict:bank"], "shop": ["predict:churn"], "ops": ["admin"]},
    )
    settings = Settings(
        models="churn, bank",
        model_cache_dir=tmp_path / "cache",
        api_keys_file=keys_file,
        log_requests=False,
        model_poll_seconds=3600,
    )
    service = Service(settings)
    app = create_app(settings, service)
    async with app.router.lifespan_context(app):
        while not all(served.tried for served in service.models.values()):  # noqa: ASYNC110  # beside this
            await asyncio.sleep(0.01)
        yield Several(Api(app, service, keys), registries)


async def test_each_model_answers_by_its_own_contract(several: Several) -> None:
    churn = await several.post("/v1/models/churn/predict", telco().customer)
    bank = await several.post("/v1/models/bank/predict", BANK.customer)
    assert (churn.status_code, bank.status_code) == (200, 200)
    assert churn.json()["customer_id"] == telco().customer["customer_id"]
    assert (bank.json()["email"], bank.json()["model_version"]) == (BANK.customer["email"], "7")
    short = await several.post("/v1/predict", telco().customer)
    assert short.json() == churn.json()
    other = await several.post("/v1/models/bank/predict", telco().customer)
    assert other.status_code == 422
    assert {e["location"][0] for e in other.json()["errors"]} >= {"credit_score", "tenure_months"}


async def test_a_batch_of_one_model_is_the_singles_in_order(several: Several) -> None:
    rows = [BANK.customer | {"age": age, "balance": None, "email": (40 + age) * 1.0} for age in (20, 45, 70)]
    batch = (await several.post("/v1/models/bank/batch", {"customers": rows})).json()
    singles = [(await several.post("/v1/models/bank/predict", row)).json() for row in rows]
    assert [p["churn_probability"] for p in batch["predictions"]] == [s["churn_probability"] for s in singles]
    assert [p["email"] for p in batch["predictions"]] == ["60", "85", "110"]


async def test_a_key_may_be_for_one_model(several: Several) -> None:
    assert (await several.post("/v1/models/bank/predict", BANK.customer, "teller")).status_code == 200
    for path in ("/v1/models/churn/predict", "/v1/models/churn/batch", "/v1/predict", "/v1/predict/batch"):
        answer = await several.post(path, {}, "teller")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    assert (await several.post("/v1/predict", telco().customer, "shop")).status_code == 200
    assert (await several.post("/v1/models/bank/predict", BANK.customer, "shop")).status_code == 403
    assert (await several.get("/v1/models/churn/contract", "teller")).status_code == 403
    assert (await several.get("/v1/models", "teller")).status_code == 200
    assert (await several.post("/v1/models/bank/refresh", {}, "teller")).status_code == 403


async def test_the_models_are_listed_and_described(several: Several) -> None:
    listed = (await several.get("/v1/models", "ops")).json()["models"]
    assert [(m["name"], m["model_version"]) for m in listed] == [("churn", "1"), ("bank", "7")]
    described = (await several.get("/v1/models/bank", "ops")).json()
    assert (described["contract"], described["contract_sha256"]) == (BANK.name, BANK.sha256)
    assert (await several.get("/v1/model", "ops")).json()["contract"] == "telco"
    assert (await several.get("/v1/models/none", "ops")).status_code == 404


async def test_a_contract_is_sent_once_and_comes_back_equal(several: Several) -> None:
    first = await several.get("/v1/models/bank/contract")
    assert Contract.model_validate_json(first.content) == BANK
    tag = first.headers["etag"]
    again = await several.get("/v1/models/bank/contract", **{"if-none-match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await several.get("/v1/contract", **{"if-none-match": tag})).status_code == 200
    default = await several.get("/v1/contract")
    assert default.content == telco().canonical


async def test_a_broken_model_takes_no_other_down(several: Several) -> None:
    service, bank = several.api.service, several.api.service.models["bank"]
    bank.live = None
    several.registries["bank"].fail()
    await several.post("/v1/models/bank/refresh", {})
    ready = await several.get("/ready")
    assert ready.status_code == 200
    states = {m["name"]: (m["model_version"], m["registry"]["reachable"]) for m in ready.json()["models"]}
    assert states == {"churn": ("1", True), "bank": (None, False)}
    assert (await several.post("/v1/predict", telco().customer)).status_code == 200
    gone = await several.post("/v1/models/bank/predict", BANK.customer)
    assert (gone.status_code, gone.json()["code"]) == (503, "no-model")
    assert "model bank" in gone.json()["detail"]
    service.default.live = None
    assert (await several.get("/ready")).status_code == 503


def test_a_process_is_not_ready_before_every_model_was_tried(api: Api) -> None:
    from app.routes.health import report  # noqa: PLC0415 - the state that the route gives

    settings = Settings(models="churn,bank", auth="off")
    service = Service(settings)
    service.default.live = api.service.default.current
    assert report(service).status == "starting"
    service.models["bank"].tried = True
    assert report(service).status == "ready"


async def test_series_have_the_name_of_their_model(several: Several) -> None:
    await several.post("/v1/models/bank/predict", BANK.customer)
    sample = several.api.sample
    by_model = {
        name: sum(
            sample("churn_predictions_total", model=name, model_version=version, decision=decision) or 0
            for decision in ("churn", "stay")
        )
        for name, version in (("churn", "1"), ("bank", "7"))
    }
    assert by_model == {"churn": 0, "bank": 1}
    assert sample("churn_http_requests_total", route="/v1/models/{model}/predict", method="POST", status="200") == 1
    assert sample("churn_feature_bin_reference_ratio", model="bank", model_version="7", feature="age", bin="0")
    # A contract without money at risk counts none.
    assert sample("churn_monthly_revenue_scored_total", model="bank") == 0


async def test_the_page_describes_every_model(several: Several) -> None:
    page = (await several.get("/openapi.json")).json()
    schemas = page["components"]["schemas"]
    assert set(schemas["bank_Customer"]["properties"]) == {"email", *BANK.names}
    assert set(schemas["Customer"]["properties"]) == {"customer_id", *telco().names}
    for path, schema in (("/v1/models/bank/predict", "bank_Customer"), ("/v1/models/churn/predict", "Customer")):
        content = page["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert content["schema"]["$ref"].endswith(f"/{schema}")
        assert (await several.post(path, content["example"])).status_code == 200
    several.api.service.models["bank"].live = None
    assert (await several.get("/openapi.json")).json()["components"]["schemas"]["bank_Customer"]["type"] == "object"


# ---------------------------------------------------------------- swaps


async def _move(several: Several, version: str) -> None:
    several.registries["bank"].alias = version
    await several.post("/v1/models/bank/refresh", {})


async def test_a_compatible_contract_is_swapped_with_its_parser(several: Several, tmp_path: Path) -> None:
    wider = with_feature(BANK, "age", maximum=150.0)
    make_bank_bundle(tmp_path / "wider", wider, seed=3)
    several.registries["bank"].versions["8"] = tmp_path / "wider"
    old = BANK.customer | {"age": 130}
    assert (await several.post("/v1/models/bank/predict", old)).status_code == 422
    await _move(several, "8")
    assert (await several.post("/v1/models/bank/predict", old)).status_code == 200
    assert (await several.get("/v1/models/bank/contract")).headers["etag"] == f'"{wider.sha256}"'


async def test_a_breaking_contract_is_swapped_only_if_somebody_decided_so(several: Several, tmp_path: Path) -> None:
    narrower = with_feature(BANK, "age", maximum=99.0)
    make_bank_bundle(tmp_path / "narrower", narrower, seed=4)
    bank = several.registries["bank"]
    bank.versions["8"] = tmp_path / "narrower"
    await _move(several, "8")
    state = (await several.get("/v1/models")).json()["models"][1]
    assert state["model_version"] == "7"
    assert "maximum 99, not 120" in state["registry"]["refused"]
    assert "churn promote --breaking" in state["registry"]["refused"]
    for decision, version in ((telco().sha256, "7"), (BANK.sha256, "8")):
        bank.more_tags["8"] = {"breaks_contract": decision}
        await _move(several, "8")
        assert (await several.get("/v1/models")).json()["models"][1]["model_version"] == version


def test_names_of_models_never_meet_on_the_page() -> None:
    names = ["churn", "batch", "single", "a-b", "a.b", "a_b"]
    app = create_app(Settings(models=",".join(names), auth="off"))
    page = app.openapi()
    assert len([name for name in page["components"]["schemas"] if name.endswith("Customer")]) == len(names)
    ids = [operation["operationId"] for path in page["paths"].values() for operation in path.values()]
    assert len(set(ids)) == len(ids)
    assert {"predict", "predictBatch"} < set(ids)


def test_a_list_of_models_is_checked() -> None:
    for wrong in ("", "a,,b", "a,a", "a/b", ".hidden", ",".join(f"m{i}" for i in range(17))):
        with pytest.raises(ValueError, match=r"model"):
            Settings(models=wrong, auth="off")
    assert Settings(models="b, a", auth="off").model_names == ("b", "a")


def test_an_example_body_is_the_contracts_own() -> None:
    assert json.loads(body()) == telco().customer
