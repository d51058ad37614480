"""Changes that an operator makes (a rule, a dashboard, a size, a password) take effect and lose no data."""

from __future__ import annotations

import base64
import configparser
import time

import httpx
import pytest
import yaml
from support.live import Live, seconds_until
from support.servers import wait_until

from infra import naming as n

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(1800),
    pytest.mark.long(seconds=320, together="changes"),
]

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
GONE = httpx.codes.UNAUTHORIZED


def uid(live: Live, workload: n.Workload) -> str:
    (pod,) = live.pods(workload)
    return str(pod["metadata"]["uid"])


def grafana(live: Live, path: str, password: str) -> httpx.Response:
    with live.forwarded(n.GRAFANA) as url:
        return httpx.get(url + path, auth=("admin", password), timeout=30, trust_env=False)


def runs(live: Live) -> str:
    return live.sql("SELECT count(*) FROM runs")


def test_up_again_changes_nothing(live: Live) -> None:
    started = time.monotonic()
    assert live.up().changes == []
    live.figures["up without a change, s"] = round(time.monotonic() - started)


def test_a_changed_rule_and_dashboard_arrive_by_themselves(live: Live) -> None:
    rules = live.project.folder / "infra" / "rules" / "api.yaml"
    content = yaml.safe_load(rules.read_text())
    alert = {"alert": "AddedByTest", "expr": "vector(0) > 1", "labels": {"severity": "info", "workload": "api"}}
    content["groups"][0]["rules"].append(alert)
    rules.write_text(yaml.safe_dump(content))
    source = live.project.folder / "dashboards" / "api.py"
    title = grafana(live, "/api/search", live.outputs["grafana_password"]).json()
    (old,) = (item for item in title if "API" in item["title"])
    assert source.read_text().count(f'"{old["title"]}"') == 1
    source.write_text(source.read_text().replace(f'"{old["title"]}"', f'"{old["title"]}, changed"'))

    changed = {step.name for step in live.up().changes}
    assert changed == {"prometheus-rules", "prometheus-statefulset", "grafana-dashboards", "grafana-deployment"}

    def loaded() -> bool:
        with live.forwarded(n.PROMETHEUS) as url:
            groups = httpx.get(f"{url}/api/v1/rules", timeout=30, trust_env=False).json()["data"]["groups"]
        return any(rule["name"] == "AddedByTest" for group in groups for rule in group["rules"])

    wait_until(loaded, "Prometheus has the new rule", 60)
    dashboard = grafana(live, f"/api/dashboards/uid/{old['uid']}", live.outputs["grafana_password"]).json()
    assert dashboard["dashboard"]["title"] == f"{old['title']}, changed"


@pytest.mark.parametrize("workload", [n.KUBE_STATE_METRICS, n.PUSHGATEWAY], ids=lambda workload: workload.name)
def test_a_single_pod_is_replaced_when_the_commands_are_done(live: Live, workload: n.Workload) -> None:
    """One is recreated, for which `pulumi up` does not wait, and one ends its old pod first in a rolling update."""
    source = live.project.folder / "infra" / "workloads" / f"{workload.name.replace('-', '_')}.py"
    text, old = source.read_text(), uid(live, workload)
    assert text.count('0m", cpu_limit=') == 1
    source.write_text(text.replace('0m", cpu_limit=', '1m", cpu_limit='))
    changed = live.up().changes
    status = live.object("deployment", workload)["status"]
    assert [(step.operation, step.name) for step in changed] == [("update", f"{workload.name}-deployment")]
    assert (status["updatedReplicas"], status["availableReplicas"]) == (1, 1)
    (pod,) = live.ready(workload)
    assert pod["metadata"]["uid"] != old


def test_a_larger_volume_is_taken_in_place(live: Live) -> None:
    """The API server accepts it if the class allows expansion; growing the disk is the work of the class's driver."""
    classes = live.kubectl.get("storageclasses")
    (name,) = (
        item["metadata"]["name"]
        for item in classes
        if item["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"
    )
    live.kubectl.run("patch", "storageclass", name, "--patch", '{"allowVolumeExpansion": true}')
    pod, before = uid(live, n.POSTGRES), runs(live)
    live.project.configure(lambda config: config["churn:database"].update(storage_gib=6))
    (step,) = live.up().changes
    assert (step.operation, step.name) == ("update", "postgres-data-0")
    claim = live.object("persistentvolumeclaim", n.POSTGRES, "data-postgres-0")
    assert claim["spec"]["resources"]["requests"]["storage"] == "6Gi"
    assert (uid(live, n.POSTGRES), runs(live)) == (pod, before)


def test_larger_requests_restart_the_pod_and_keep_its_data(live: Live) -> None:
    pod, before = uid(live, n.POSTGRES), runs(live)
    live.project.configure(lambda config: config["churn:database"]["resources"].update(memory_request="300Mi"))
    changed = live.up().changes
    assert [(step.operation, step.name) for step in changed] == [("update", "postgres-server")]
    assert uid(live, n.POSTGRES) != pod
    assert runs(live) == before


def replaced(live: Live, *names: str) -> None:
    """Replace random values, as `pulumi up --replace` does."""
    resources = live.project.state()["resources"]
    urns = [item["urn"] for item in resources if item["urn"].rpartition("::")[2] in {f"local-{name}" for name in names}]
    assert len(urns) == len(names)
    live.up(replace=urns)


def over_tcp(live: Live, user: str, password: str) -> bool:
    """Whether PostgreSQL accepts a login with its password over the network, as from another pod."""
    address = live.ready(n.POSTGRES)[0]["status"]["podIP"]
    uri = f"postgresql://{user}:{password}@{address}/{user}"
    pod = live.ready(n.POSTGRES)[0]["metadata"]["name"]
    words = ("exec", pod, "--namespace", n.MLOPS, "--", "psql", uri, "-Atc", "SELECT 1")
    return live.kubectl.attempt(*words).ok


def password(live: Live, workload: n.Workload, secret: str) -> str:
    """The password in the service file that is mounted in the pods of a workload."""
    (pod,) = live.ready(workload)
    (name,) = (volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if volume["name"] == secret)
    service = configparser.ConfigParser(interpolation=None)
    service.read_string(base64.b64decode(live.object("secret", workload, name)["data"]["pg_service.conf"]).decode())
    return service["churn"]["password"]


def test_a_new_database_password_is_in_force_with_the_next_up(live: Live) -> None:
    old, before = password(live, n.MLFLOW, "postgres-mlflow"), runs(live)
    assert over_tcp(live, "mlflow", old)
    replaced(live, "postgres-mlflow")
    new = password(live, n.MLFLOW, "postgres-mlflow")
    assert new != old
    assert over_tcp(live, "mlflow", new)
    assert not over_tcp(live, "mlflow", old)
    assert runs(live) == before
    assert live.predict().status_code == httpx.codes.OK


def test_a_new_mlflow_password_is_in_force_with_the_next_up(live: Live) -> None:
    old = live.outputs["mlflow_password"]

    def status(password: str) -> int:
        with live.forwarded(n.MLFLOW) as url:
            path = f"{url}/api/2.0/mlflow/registered-models/get?name=churn"
            return httpx.get(path, auth=("admin", password), timeout=30, trust_env=False).status_code

    assert status(old) == httpx.codes.OK
    replaced(live, "mlflow-admin")
    new = live.outputs["mlflow_password"]
    assert new != old
    assert status(new) == httpx.codes.OK
    assert status(old) == GONE


def test_a_new_grafana_password_is_in_force_once_it_is_reset(live: Live) -> None:
    old = live.outputs["grafana_password"]
    replaced(live, "grafana-admin")
    new = live.outputs["grafana_password"]
    assert new != old
    # Grafana stores users in its database and sets a password only when it creates one.
    assert grafana(live, "/api/search", old).status_code == httpx.codes.OK
    command = ("grafana", "cli", "admin", "reset-admin-password", "--password-from-stdin")
    live.run(n.GRAFANA, *command, stdin=f"{new}\n")
    assert grafana(live, "/api/search", new).status_code == httpx.codes.OK
    assert grafana(live, "/api/search", old).status_code == GONE
    assert [item["text"] for item in grafana(live, "/api/annotations", new).json()] == ["kept"]


def test_the_api_reads_the_registry_with_a_new_password(live: Live) -> None:
    replaced(live, "mlflow-api")

    def up_to_date() -> bool:
        with live.forwarded(n.API) as url:
            text = httpx.get(f"{url}/metrics", timeout=30, trust_env=False).text
        return 'churn_registry_up{model="churn"} 1.0' in text

    seconds_until(up_to_date, "the API reaches the registry", 60)
    assert live.predict().status_code == httpx.codes.OK
