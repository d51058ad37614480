from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest
from support.bundles import random_customers
from support.registered import Registered, Version, rewritten
from support.servers import Api, Mlflow, wait_until

from app.bundle import EXPLAIN, GOLDEN, MANIFEST, MANIFEST_TAG, MODEL, digest

pytestmark = pytest.mark.service
SELDOM = pytest.mark.long(seconds=30, together=__name__)

CUSTOMER = random_customers(1, seed=13)[0]


class Following:
    """An API that follows a registered model, and what is needed to give it another one."""

    def __init__(self, api: Api, registered: Registered, bundles: list[Path], folder: Path) -> None:
        self.api, self.registered, self.bundles, self.folder = api, registered, bundles, folder
        self.canary = folder / "canary"
        self.good = registered.publish(bundles[0])

    def serve(self, version: Version) -> None:
        self.registered.point(version)
        wait_until(lambda: self.api.ready()["model_version"] == version.number, f"version {version.number} serves")

    def pickle(self) -> bytes:
        """A pickle that leaves a trace when it is loaded."""

        class Planted:
            def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
                return Path.touch, (canary,)  # type: ignore[return-value]  # pickle takes any arguments

        canary = self.canary
        return pickle.dumps(Planted())


@pytest.fixture(scope="module")
def following(mlflow_server: str, bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Following]:
    folder = tmp_path_factory.mktemp("following")
    registered = Registered(mlflow_server, "faults")
    registered.point(registered.publish(bundles[0]))
    with Api(folder, **registered.settings()) as api:
        yield Following(api, registered, bundles, folder)


def flipped_byte(following: Following, _: Path) -> Version:
    version = following.registered.publish(following.bundles[1])
    graph = bytearray(version.read(MODEL))
    graph[len(graph) // 2] ^= 1
    version.write(MODEL, bytes(graph))
    return version


def cut_file(following: Following, _: Path) -> Version:
    version = following.registered.publish(following.bundles[1])
    version.write(GOLDEN, version.read(GOLDEN)[:-10])
    return version


def cut_manifest(following: Following, _: Path) -> Version:
    version = following.registered.publish(following.bundles[1])
    version.write(MANIFEST, version.read(MANIFEST)[:-10])
    return version


def swapped_files(following: Following, _: Path) -> Version:
    version, other = (following.registered.publish(b) for b in following.bundles[1:])
    for name in (MODEL, GOLDEN):
        mine, its = version.read(name), other.read(name)
        version.write(name, its)
        other.write(name, mine)
    return version


def swapped_bundles(following: Following, _: Path) -> Version:
    version = following.registered.publish(following.bundles[1])
    for file in following.bundles[2].iterdir():
        version.write(file.name, file.read_bytes())
    return version


def missing_artifact(following: Following, _: Path) -> Version:
    version = following.registered.publish(following.bundles[1])
    version.delete(EXPLAIN)
    return version


def planted_pickle(following: Following, _: Path) -> Version:
    version = following.registered.publish(following.bundles[1])
    version.write(MODEL, following.pickle())
    return version


def registered_pickle(following: Following, folder: Path) -> Version:
    """As if whoever registers had been taken over too: every digest fits the pickle."""
    copytree(following.bundles[1], folder / "copy")
    (folder / "copy" / MODEL).write_bytes(following.pickle())
    files = json.loads((folder / "copy" / MANIFEST).read_text())["files"]
    files[MODEL] = digest(folder / "copy" / MODEL).model_dump()
    return following.registered.publish(rewritten(folder / "copy", folder / "bundle", files=files))


def foreign_file(following: Following, folder: Path) -> Version:
    files = json.loads((following.bundles[1] / MANIFEST).read_text())["files"]
    files["model.pkl"] = files[MODEL]
    bundle = rewritten(following.bundles[1], folder / "bundle", files=files)
    (bundle / "model.pkl").write_bytes(following.pickle())
    return following.registered.publish(bundle)


def wrong_tag(following: Following, _: Path) -> Version:
    return following.registered.publish(following.bundles[1], tags={MANIFEST_TAG: "0" * 64})


def no_tag(following: Following, _: Path) -> Version:
    return following.registered.publish(following.bundles[1], tags={})


def other_schema(following: Following, folder: Path) -> Version:
    return following.registered.publish(rewritten(following.bundles[1], folder / "bundle", format=1, schema_version=99))


def other_scores(following: Following, folder: Path) -> Version:
    """Every digest fits, but the model is not the one whose scores were recorded."""
    files = json.loads((following.bundles[1] / MANIFEST).read_text())["files"]
    files[MODEL] = digest(following.bundles[2] / MODEL).model_dump()
    bundle = rewritten(following.bundles[1], folder / "bundle", files=files)
    (bundle / MODEL).write_bytes((following.bundles[2] / MODEL).read_bytes())
    return following.registered.publish(bundle)


DAMAGES = {
    flipped_byte: "model.onnx: its sha256",
    cut_file: "golden.json: ",
    cut_manifest: "manifest.json: its sha256",
    swapped_files: "golden.json: ",
    swapped_bundles: "manifest.json: its sha256",
    missing_artifact: "explain.json: missing",
    planted_pickle: "model.onnx: ",
    registered_pickle: "model.onnx: ONNX Runtime refuses it",
    foreign_file: "manifest.json: files.model.pkl",
    wrong_tag: "manifest.json: its sha256",
    no_tag: "it has no sha256 in the tag",
    other_schema: "manifest.json: made for customer schema 99",
    other_scores: "model.onnx: golden row",
}


@pytest.mark.parametrize(("damaged", "reason"), DAMAGES.items(), ids=[function.__name__ for function in DAMAGES])
def test_damage_is_refused_and_the_old_model_serves_on(
    following: Following, tmp_path: Path, damaged: Callable[[Following, Path], Version], reason: str
) -> None:
    api = following.api
    following.serve(following.good)
    before = api.predict(CUSTOMER)
    refusals = api.model_metrics()["churn_model_refused_total"]
    version = damaged(following, tmp_path)
    following.registered.point(version)
    wait_until(lambda: api.ready()["registry"]["refused"], "the refusal is visible")
    ready = api.ready()
    assert ready["registry"]["refused"].startswith(f"version {version.number}: {reason}")
    assert (ready["status"], ready["model_version"]) == ("ready", following.good.number)
    assert ready["registry"]["reachable"]
    assert api.predict(CUSTOMER) == before
    metrics = api.model_metrics()
    assert metrics["churn_model_refused_total"] == refusals + 1
    assert metrics["churn_model_stale"] == 1
    assert metrics["churn_registry_up"] == 1

    following.serve(following.registered.publish(following.bundles[2]))
    assert api.ready()["registry"]["refused"] is None
    metrics = api.model_metrics()
    assert metrics["churn_model_stale"] == 0
    assert metrics["churn_model_refused_total"] == refusals + 1, "a refused version is not fetched at every look-up"
    assert not following.canary.exists()


def test_a_refused_version_is_named_each_time_the_alias_comes_back_to_it(following: Following, tmp_path: Path) -> None:
    version = wrong_tag(following, tmp_path)
    for _ in range(2):
        following.serve(following.good)
        following.registered.point(version)
        wait_until(lambda: following.api.ready()["registry"]["refused"], "the refusal is visible")


def test_a_pickle_beside_the_bundle_is_never_opened(following: Following, tmp_path: Path) -> None:
    bundle = copytree(following.bundles[2], tmp_path / "bundle")
    (bundle / "model.pkl").write_bytes(following.pickle())
    following.serve(following.registered.publish(bundle))
    following.api.predict(CUSTOMER)
    assert not following.canary.exists()


@SELDOM
def test_predictions_outlive_mlflow(bundles: list[Path], tmp_path: Path) -> None:
    with Mlflow(tmp_path / "mlflow") as mlflow:
        registered = Registered(mlflow.url, "churn")
        first, second = (registered.publish(bundle) for bundle in bundles[:2])
        registered.point(first)
        settings = registered.settings()
        with Api(tmp_path / "api", **settings) as api:
            answer = api.predict(CUSTOMER)
            assert api.ready()["model_source"] == "registry"
            mlflow.kill()
            wait_until(lambda: api.ready()["registry"]["reachable"] is False, "the loss is visible")
            assert api.status("/ready") == 200
            assert api.model_metrics()["churn_registry_up"] == 0
            assert api.predict(CUSTOMER) == answer

        with Api(tmp_path / "api", **settings) as api:
            wait_until(lambda: api.ready()["registry"]["reachable"] is False, "the registry was asked in vain")
            ready = api.ready()
            assert (ready["status"], ready["model_source"], ready["model_version"]) == ("ready", "cache", first.number)
            assert "no answer from MLflow" in ready["registry"]["last_error"]
            assert api.model_metrics()["churn_registry_up"] == 0
            assert api.predict(CUSTOMER) == answer

            cache = copytree(tmp_path / "api" / "model-cache", tmp_path / "damaged-cache")
            graph = next(cache.glob(f"*/{first.number}-*")) / MODEL
            graph.write_bytes(graph.read_bytes()[:-1])
            damaged = Api(tmp_path / "damaged", **settings | {"model_cache_dir": cache})
            damaged.launch()
            try:
                wait_until(lambda: damaged.status("/live") == 200, "it lives")
                wait_until(lambda: damaged.ready()["registry"]["last_error"], "the registry was asked in vain")
                assert damaged.status("/ready") == 503
                assert damaged.ready()["status"] == "starting"
                refusal = damaged.client.post("/v1/predict", json=CUSTOMER)
                assert (refusal.status_code, refusal.json()["code"]) == (503, "no-model")
                assert "the local copy of model churn is refused: model.onnx" in damaged.output

                mlflow.start()
                registered.point(second)
                for follower in (api, damaged):
                    wait_until(lambda one=follower: one.ready()["model_version"] == second.number, "it follows again")  # type: ignore[misc]  # mypy cannot type a lambda's default
                    assert follower.ready()["model_source"] == "registry"
                    assert follower.model_metrics()["churn_registry_up"] == 1
            finally:
                damaged.close()
