"""A second business beside the first: with two settings the cluster trains, promotes and serves its model as well."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from support.live import Live
from support.paths import ROOT
from support.servers import wait_until

from app.contract import Contract
from infra import naming as n
from training.contract_file import read

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

CONTRACT = "contracts/bank.yaml"
BANK = read(ROOT / CONTRACT)
RATE = 100
WITHIN = 120


def both(config: dict[str, Any]) -> None:
    """Train and serve the bank's customers beside the first ones."""
    config["churn:api"]["models"] = ["churn", "bank"]
    trained = {"source": "generated", "contract": CONTRACT, "schedule": config["churn:training"]["schedule"]}
    config["churn:training"]["models"] = {"bank": trained}


def first_alone(config: dict[str, Any]) -> None:
    """Go back to the stack of before."""
    del config["churn:api"]["models"]
    del config["churn:training"]["models"]


def predict(live: Live, path: str, body: dict[str, Any]) -> httpx.Response:
    return live.ask("POST", "api", path, json=body, headers=live.key)


def bank(live: Live) -> httpx.Response:
    return predict(live, "/v1/models/bank/predict", dict(BANK.customer))


def by_hand(live: Live, cronjob: str) -> str:
    """Start a job as the runbooks say, wait until it completes, and return its log."""
    name, where = f"{cronjob}-by-hand", ("--namespace", n.MLOPS)
    live.kubectl.run("create", "job", name, f"--from=cronjob/{cronjob}", *where)
    answer = live.kubectl.attempt("wait", "--for=condition=Complete", f"job/{name}", "--timeout=300s", *where)
    log = live.kubectl.run("logs", f"job/{name}", *where).out
    assert answer.ok, f"{answer.err}\n{log}"
    return log


def test_a_second_model_is_trained_promoted_and_served_and_the_first_loses_no_request(live: Live) -> None:
    assert bank(live).status_code == httpx.codes.NOT_FOUND
    with live.load("second-model", rate=RATE) as load:
        live.project.configure(both)
        live.up()
        wait_until(lambda: bank(live).status_code == httpx.codes.OK, "the API serves the bank's model", WITHIN)
    live.figures["requests while a second model was set up"] = f"{load.report.requests}, {load.report.failed} failed"
    assert load.report.failed == 0, (load.report.codes, load.report.errors[:3])
    answer = bank(live).json()
    assert answer["model_version"] == "1"
    assert 0 <= answer["churn_probability"] <= 1
    assert answer[BANK.key.name] == BANK.customer[BANK.key.name]


def test_each_pod_has_both_with_the_contract_of_each(live: Live) -> None:
    for pod in live.ready(n.API):
        with live.forwarded(n.API, pod=pod) as url:
            ready = httpx.get(f"{url}/ready", timeout=30, trust_env=False)
        assert ready.status_code == httpx.codes.OK
        assert {state["name"]: state["model_version"] is not None for state in ready.json()["models"]} == {
            "churn": True,
            "bank": True,
        }, ready.text
    for name, key in (("churn", "customer_id"), ("bank", BANK.key.name)):
        contract = live.ask("GET", "api", f"/v1/models/{name}/contract", headers=live.key)
        assert contract.status_code == httpx.codes.OK, contract.text
        assert Contract.model_validate_json(contract.text).key.name == key


def test_customers_of_one_business_are_none_of_the_other(live: Live) -> None:
    answer = predict(live, "/v1/models/churn/predict", dict(BANK.customer))
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert live.predict().status_code == httpx.codes.OK


def test_its_figures_have_its_name(live: Live) -> None:
    scored = 'sum(churn_predictions_total{model="bank"})'
    wait_until(lambda: (live.metric(scored) or 0) >= 1, "Prometheus has the predictions of the bank", 90)
    assert live.metric("count(count by (model) (churn_model_info))") == 2


def test_it_is_trained_by_a_job_of_its_own_and_the_first_stays(live: Live) -> None:
    before = live.predict().json()["model_version"]
    assert "version 2 is staged" in by_hand(live, "training-bank-on-demand")
    assert bank(live).json()["model_version"] == "1"
    assert live.predict().json()["model_version"] == before
    trained = 'churn_training_verdict{model="bank", verdict="staged"} == 1'
    wait_until(lambda: live.metric(trained) == 1, "Prometheus knows of the training", 90)


def test_one_that_is_broken_does_not_take_the_other_down(live: Live) -> None:
    """Its alias is deleted, and a new pod, which has no copy, has nothing to serve for it."""
    with live.forwarded(n.MLFLOW) as url:
        path, auth = f"{url}/api/2.0/mlflow/registered-models/alias", ("admin", live.outputs["mlflow_password"])
        name = {"name": "bank", "alias": "production"}
        gone = httpx.request("DELETE", path, json=name, auth=auth, timeout=30, trust_env=False)
        assert gone.status_code == httpx.codes.OK, gone.text
        pod = live.ready(n.API)[0]
        live.kubectl.run("delete", "pod", pod["metadata"]["name"], "--namespace", n.SERVING, "--wait=true")
        settled = "the new pod is Ready without the bank's model"
        wait_until(lambda: len(live.ready(n.API)) == len(live.pods(n.API)) >= 2, settled, WITHIN)
        assert all(live.predict().status_code == httpx.codes.OK for _ in range(20))
        again = httpx.post(path, json=name | {"version": "1"}, auth=auth, timeout=30, trust_env=False)
        assert again.status_code == httpx.codes.OK, again.text
    wait_until(lambda: all(bank(live).status_code == httpx.codes.OK for _ in range(20)), "every pod has it again", 60)


def test_without_the_settings_the_first_serves_alone_again(live: Live) -> None:
    live.project.configure(first_alone)
    live.up()
    wait_until(lambda: bank(live).status_code == httpx.codes.NOT_FOUND, "the API serves one model", WITHIN)
    assert live.predict().status_code == httpx.codes.OK
    jobs = {item["metadata"]["name"] for item in live.kubectl.get("cronjobs")}
    assert not {name for name in jobs if "bank" in name}
