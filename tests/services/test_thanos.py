"""Thanos' own programs with prod's recorded arguments and bucket file: two Prometheus as one, their blocks in a bucket.

Prometheus and Thanos are real; the bucket is moto's, and addresses are of loopback, so finding replicas by DNS is not
shown. Blocks of the past come from promtool, as a block of the present would be complete only after two hours.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from support import s3, tools
from support.pod_arguments import arguments, at_home, replicas
from support.recorder import find, recorded
from support.servers import HOST, Server, answers, free_port, wait_until
from support.tools import newest_prometheus

from infra.naming import PROMETHEUS, THANOS_COMPACT, THANOS_QUERY, THANOS_STORE
from infra.workloads import thanos_programs as thanos
from infra.workloads.prometheus import CONFIG
from infra.workloads.prometheus import DATA as PROMETHEUS_DATA
from infra.workloads.thanos import DATA
from ops.plain_http import NO_TLS

pytestmark = [pytest.mark.service, pytest.mark.timeout(2400)]  # the first run of a machine builds Thanos
STACK = "prod"
FILE = f"{thanos.CONFIG}/{thanos.BUCKET_FILE}"
HOURS_2 = 7200
PAST = (int(time.time()) - 3 * 86_400) // HOURS_2 * HOURS_2
"""Three days ago, where a block begins: before what the running Prometheus know, and younger than what is kept."""
LAST = PAST + 15 * 99
SAMPLES = "".join(f"customers_scored {number} {PAST + 15 * number}\n" for number in range(100))


class Program(Server):
    """One of Thanos' programs; ``changes`` are the recorded values that are others here."""

    def __init__(self, name: str, options: list[str], folder: Path, changes: Mapping[str, str]) -> None:
        http, self.grpc = free_port(), free_port()
        places = {f"0.0.0.0:{thanos.HTTP}": f"{HOST}:{http}", f"0.0.0.0:{thanos.GRPC}": f"{HOST}:{self.grpc}"}
        command = [str(tools.thanos()), *at_home(options, {**places, **changes})]
        super().__init__(command, folder / name, port=http, environment={"GOMAXPROCS": "1", **s3.CREDENTIALS})

    def is_up(self) -> bool:
        return answers(f"{self.url}/-/ready")

    def query(self, expression: str, *, dedup: bool = True, at: int | None = None) -> list[dict[str, Any]]:
        """The series of an instant query."""
        asked = {"query": expression, "dedup": str(dedup).lower(), **({} if at is None else {"time": str(at)})}
        body = httpx.get(f"{self.url}/api/v1/query", params=asked, timeout=30, trust_env=False, verify=NO_TLS).json()
        assert body["status"] == "success", body
        series: list[dict[str, Any]] = body["data"]["result"]
        return series


class Prometheus(Server):
    """A replica with the recorded arguments and labels, which looks at ``target`` as the other one does."""

    def __init__(self, folder: Path, pod: str, port: int, target: str) -> None:
        self.folder = folder / pod
        self.folder.mkdir()
        base = yaml.safe_load(find(recorded(STACK), "ConfigMap", "prometheus-config").inputs["data"]["prometheus.yml"])
        config = {
            "global": {**base["global"], "scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "prometheus", "static_configs": [{"targets": [target]}]}],
        }
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        changes = {
            f"{CONFIG}/prometheus.yml": str(self.folder / "prometheus.yml"),
            PROMETHEUS_DATA: str(self.folder / "data"),
            f"0.0.0.0:{PROMETHEUS.ports['http']}": f"{HOST}:{port}",
            PROMETHEUS.url(): f"http://{HOST}:{port}",
        }
        command = [
            str(newest_prometheus("prometheus")),
            *at_home(arguments(STACK, "StatefulSet", PROMETHEUS.name), changes),
        ]
        super().__init__(command, self.folder, port=port, environment={"GOMAXPROCS": "1", "POD_NAME": pod})

    def is_up(self) -> bool:
        return answers(f"{self.url}/-/ready")

    def remember(self) -> None:
        """Give it a block of the past."""
        samples = self.folder / "samples"
        samples.write_text(f"# TYPE customers_scored gauge\n{SAMPLES}# EOF\n", encoding="utf-8")
        program = str(newest_prometheus("promtool"))
        command = [program, "tsdb", "create-blocks-from", "openmetrics", str(samples), str(self.folder / "data")]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


def bucket_file(url: str) -> tuple[str, dict[str, Any]]:
    """The recorded bucket, and its file with moto's address."""
    files = find(recorded(STACK), "ConfigMap", "thanos-store-bucket").inputs["data"]
    content = yaml.safe_load(files[thanos.BUCKET_FILE])
    content["config"] |= {"endpoint": url.removeprefix("http://"), "insecure": True}
    return content["config"]["bucket"], content


class Stage:
    """A bucket and what runs around it; everything started is stopped with ``stack``."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.url = stack.enter_context(s3.moto())
        self.bucket, content = bucket_file(self.url)
        s3.encrypted_bucket(self.url, self.bucket)
        self.file = folder / "bucket.yaml"
        self.file.write_text(yaml.safe_dump(content), encoding="utf-8")
        pods = [f"{PROMETHEUS.name}-{index}" for index in range(replicas(STACK, "StatefulSet", PROMETHEUS.name))]
        ports = [free_port() for _ in pods]
        self.replicas = [
            stack.enter_context(Prometheus(folder, pod, port, f"{HOST}:{ports[0]}"))
            for pod, port in zip(pods, ports, strict=True)
        ]
        self.sidecars = [self._sidecar(replica) for replica in self.replicas]

    def _sidecar(self, replica: Prometheus) -> Program:
        options = arguments(STACK, "StatefulSet", PROMETHEUS.name, "thanos-sidecar")
        own = f"http://127.0.0.1:{PROMETHEUS.ports['http']}"
        changes = {PROMETHEUS_DATA: str(replica.folder / "data"), own: replica.url}
        return self.start(f"sidecar-{replica.folder.name}", options, changes)

    def start(self, name: str, options: list[str], changes: Mapping[str, str]) -> Program:
        """Start one of Thanos' programs on the bucket."""
        return self.stack.enter_context(Program(name, options, self.folder, {FILE: str(self.file), **changes}))

    def query(self, name: str, asked: list[Program]) -> Program:
        """Start the recorded query over some of the programs."""
        recorded_ones = arguments(STACK, "Deployment", THANOS_QUERY.name)
        options = [each for each in recorded_ones if not each.startswith("--endpoint=")]
        assert len(recorded_ones) == len(options) + 2, "one endpoint for the replicas, and one for what the bucket has"
        endpoints = [f"{HOST}:{each.grpc}" for each in asked]
        return self.start(name, [*options, *(f"--endpoint={each}" for each in endpoints)], {e: e for e in endpoints})

    def names(self) -> list[str]:
        """Of every file in the bucket."""
        contents = s3.client(self.url).list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [item["Key"] for item in contents]

    def labels(self) -> dict[str, dict[str, str]]:
        """Labels of the blocks in the bucket that are not about to be deleted, by the block's name."""
        names = self.names()
        ended = {name.partition("/")[0] for name in names if name.endswith("/deletion-mark.json")}
        return {
            block: self._meta(name)["thanos"]["labels"]
            for name in names
            if name.endswith("/meta.json") and (block := name.partition("/")[0]) not in ended
        }

    def _meta(self, name: str) -> dict[str, Any]:
        content = s3.client(self.url).get_object(Bucket=self.bucket, Key=name)["Body"].read()
        parsed: dict[str, Any] = json.loads(content)
        return parsed


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(tmp_path_factory.mktemp("thanos"), stack)


@pytest.fixture(scope="module")
def uploaded(stage: Stage) -> Stage:
    """Each replica has a block of the past, and its sidecar has brought it into the bucket."""
    for replica in stage.replicas:
        replica.remember()
    wait_until(lambda: len(stage.labels()) == len(stage.replicas), "the sidecars have uploaded the blocks", pause=1)
    return stage


def test_two_replicas_answer_as_one(stage: Stage) -> None:
    query = stage.query("query", stage.sidecars)
    up = 'up{job="prometheus"}'
    wait_until(lambda: len(query.query(up, dedup=False)) == len(stage.replicas), "both have scraped", pause=0.5)
    (one,) = query.query(up)
    assert "replica" not in one["metric"]
    assert one["metric"]["stack"] == STACK
    assert {each["metric"]["replica"] for each in query.query(up, dedup=False)} == {
        replica.folder.name for replica in stage.replicas
    }


def test_the_store_answers_for_what_the_bucket_has(uploaded: Stage) -> None:
    assert {labels["replica"] for labels in uploaded.labels().values()} == {
        each.folder.name for each in uploaded.replicas
    }
    store = uploaded.start("store", arguments(STACK, "StatefulSet", THANOS_STORE.name), _data(uploaded, "store"))
    query = uploaded.query("query-of-the-store", [store])
    wait_until(lambda: query.query("customers_scored", at=LAST), "the store has the blocks", pause=0.5)
    (one,) = query.query("customers_scored", at=LAST)
    assert one["value"][1] == "99"
    assert len(query.query("customers_scored", at=LAST, dedup=False)) == len(uploaded.replicas)


def test_the_compactor_makes_one_block_of_the_replicas(uploaded: Stage) -> None:
    options = arguments(STACK, "StatefulSet", THANOS_COMPACT.name)
    # It leaves blocks alone that were made in the last half hour, which is too long for a test.
    uploaded.start("compact", [*options, "--consistency-delay=0s"], _data(uploaded, "compact"))
    wait_until(lambda: list(uploaded.labels().values()) == [{"stack": STACK}], "there is one block", pause=1)


def test_a_bucket_file_with_a_word_that_thanos_does_not_know_is_refused(stage: Stage) -> None:
    content = yaml.safe_load(stage.file.read_text(encoding="utf-8"))
    content["config"]["bukket"] = content["config"].pop("bucket")
    wrong = stage.folder / "wrong.yaml"
    wrong.write_text(yaml.safe_dump(content), encoding="utf-8")
    options = arguments(STACK, "StatefulSet", THANOS_STORE.name)
    program = Program("wrong", options, stage.folder, {FILE: str(wrong), **_data(stage, "wrong")})
    program.launch()
    assert program.process.wait(60) != 0
    assert "bukket" in program.output


def _data(stage: Stage, name: str) -> dict[str, str]:
    return {DATA: str(stage.folder / f"{name}-data")}
