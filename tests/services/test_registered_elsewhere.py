"""Models that were trained elsewhere, from the file to a version in production that the API's own code serves."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import skops.io
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from support import foreign_models as models
from support.commands import churn
from support.foreign_models import Elsewhere
from support.paths import ROOT
from support.training_runs import GATES, aliases, stage_of

from app.bundle import Golden
from app.coding import Coder
from app.customers import customer_model
from ops.errors import ExitCode
from training import mlflow_store, native, registry
from training.config import RegisterConfig
from training.foreign_golden import read_golden
from training.register import register
from training.result import TrainResult

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    return models.customers(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def files(bank: Elsewhere) -> tuple[Path, Path]:
    """LightGBM's trees as ONNX, and their golden rows."""
    model = models.trees(bank)
    path = bank.folder / "trees.onnx"
    onnx.save_model(models.trees_graph(bank, model), path)
    scores = models.churn(model, bank.coded(bank.holdout))
    return path, bank.write_golden(bank.folder / "golden.jsonl", scores)


def config(bank: Elsewhere, server: str, name: str, **changes: Any) -> RegisterConfig:
    fields = {
        "source": str(bank.holdout),
        "train_source": str(bank.train),
        "contract": bank.contract,
        "tracking_uri": server,
        "model_name": name,
        "bootstrap_count": 100,
        "note": "Trained by the analysts.",
    }
    return RegisterConfig.model_validate(fields | changes)


@pytest.fixture(scope="module")
def registered(bank: Elsewhere, files: tuple[Path, Path], mlflow_server: str) -> tuple[TrainResult, list[str]]:
    seen: list[str] = []
    settings = config(bank, mlflow_server, "elsewhere", model_file=files[0], golden=files[1])
    return register(settings, on_stage=lambda stage, _: seen.append(stage)), seen


def test_a_graph_passes_the_same_gates_and_is_staged(
    registered: tuple[TrainResult, list[str]], mlflow_server: str
) -> None:
    result, seen = registered
    assert [gate.name for gate in result.gates] == GATES
    assert [gate.detail for gate in result.gates if not gate.passed] == []
    details = {gate.name: gate.detail for gate in result.gates}
    assert "on 60 golden rows" in details["parity"]
    assert "no cross-validation: it was trained elsewhere" in details["skill"]
    assert "0.0% of the held-out rows have a twin in the training part" in details["duplicates"]
    assert result.cross_validation == ()
    assert seen == ["model", "load", "validate", "score", "evaluate", "export", "gates", "report", "register"]
    assert aliases(mlflow_server, "elsewhere")["staging"] == result.version
    assert stage_of(mlflow_server, "elsewhere", result.version) == "Staging"


def test_its_version_says_where_it_comes_from(
    registered: tuple[TrainResult, list[str]], mlflow_server: str, tmp_path: Path
) -> None:
    client, result = MlflowClient(mlflow_server), registered[0]
    version = client.get_model_version("elsewhere", result.version)
    assert version.tags["model_type"] == "foreign"
    assert version.tags["contract"] == "bank"
    assert native.DIGEST_TAG not in version.tags
    run = client.get_run(result.run_id)
    assert run.data.params["note"] == "Trained by the analysts."
    assert run.data.params["model_file"].endswith("trees.onnx")
    assert not {"test_share", "cv_folds", "model"} & run.data.params.keys()
    assert "cv_auc" not in run.data.metrics
    assert run.inputs is not None
    assert run.inputs.dataset_inputs[0].tags[0].value == "evaluation"
    card = download_artifacts(
        run_id=result.run_id, artifact_path="model_card.md", dst_path=str(tmp_path), tracking_uri=mlflow_server
    )
    text = Path(card).read_text(encoding="utf-8")
    assert "The model, `trees.onnx`, was trained elsewhere: Trained by the analysts." in text
    assert "There is no cross-validation" in text
    assert "foreign model, trained elsewhere, judged" in text


def test_serving_gives_the_golden_scores_and_explains_them(
    registered: tuple[TrainResult, list[str]], files: tuple[Path, Path], bank: Elsewhere, mlflow_server: str
) -> None:
    client = mlflow_store.connect(mlflow_server)
    model = mlflow_store.fetch_model(client, client.get_model_version("elsewhere", registered[0].version))
    golden: Golden = read_golden(files[1], bank.contract)
    customer = customer_model(bank.contract)
    rows = [customer.model_validate(row.customer).model_dump() for row in golden.rows]
    features = Coder(model.contract, model.manifest.medians).many(rows)
    assert np.abs(model.score(features) - [row.score for row in golden.rows]).max() < 1e-5
    explained = model.explain(features[:1])
    assert explained.method == "occlusion"
    assert any(abs(value) > 0.01 for value in explained.contributions.values())


def test_promoted_it_is_what_the_next_version_is_compared_with(
    bank: Elsewhere, files: tuple[Path, Path], mlflow_server: str
) -> None:
    first = register(config(bank, mlflow_server, "succession", model_file=files[0], golden=files[1]))
    registry.promote(mlflow_server, "succession", first.version)
    path = bank.folder / "raw.skops"
    skops.io.dump(models.raw_pipeline(bank), path)
    second = register(config(bank, mlflow_server, "succession", model_file=path))
    assert second.staged
    (regression,) = [gate for gate in second.gates if gate.name == "regression"]
    assert f"version {first.version}" in regression.detail
    assert "native" in second.gates[0].detail
    assert "3,000 rows" in second.gates[0].detail
    version = MlflowClient(mlflow_server).get_model_version("succession", second.version)
    assert len(version.tags[native.DIGEST_TAG]) == 64
    registry.promote(mlflow_server, "succession", second.version)
    assert aliases(mlflow_server, "succession") == {"production": "2", "previous": "1"}


def command(bank: Elsewhere, server: str, model: Path, *more: str, name: str = "refused") -> list[str]:
    options = {"--contract": models.BANK, "--data": bank.holdout, "--tracking-uri": server, "--model-name": name}
    return ["register", str(model), *(str(word) for pair in options.items() for word in pair), *more]


def test_the_command_ends_with_1_for_a_gate_and_2_for_wrong_input(
    bank: Elsewhere,
    files: tuple[Path, Path],
    mlflow_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, golden = files
    train = ["--train-data", str(bank.train)]

    def ends(code: ExitCode, words: str, *arguments: str, file: Path = model) -> None:
        assert churn(monkeypatch, *command(bank, mlflow_server, file, *arguments)) == code
        assert words in capsys.readouterr().err

    ends(ExitCode.BAD_INPUT, "can only be trusted with rows that were scored where it was trained", *train)
    ends(ExitCode.BAD_INPUT, "reads estimated_salary, whose blanks count as the median", "--golden", str(golden))
    pickle = bank.folder / "model.pkl"
    pickle.write_bytes(b"\x80\x04.")
    ends(ExitCode.BAD_INPUT, "model.pkl is neither .onnx nor .skops", *train, file=pickle)
    rows = [json.loads(line) for line in golden.read_text().splitlines()]
    rows[7]["score"] += 0.01
    wrong = bank.folder / "wrong.jsonl"
    wrong.write_text("\n".join(map(json.dumps, rows)))
    ends(ExitCode.FAILED, "nothing is registered, refused by gate parity", "--golden", str(wrong), *train)
    with pytest.raises(Exception, match="not found"):
        MlflowClient(mlflow_server).get_registered_model("refused")


def test_a_model_without_skill_is_registered_but_refused(
    bank: Elsewhere,
    mlflow_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    generator = np.random.default_rng(1)
    model = models.linear(bank)
    model[-1].coef_ = generator.normal(0, 0.01, model[-1].coef_.shape)
    path = bank.folder / "noise.onnx"
    onnx.save_model(models.linear_graph(bank, model), path)
    golden = bank.write_golden(bank.folder / "noise.csv", models.churn(model, bank.coded(bank.holdout)))
    words = command(
        bank, mlflow_server, path, "--golden", str(golden), "--train-data", str(bank.train), "--json", name="noise"
    )
    assert churn(monkeypatch, *words) == ExitCode.FAILED
    result = json.loads(capsys.readouterr().out)
    assert result["staged"] is False
    assert "is registered but refused, no alias moved: gate skill" in result["error"]["message"]
    assert aliases(mlflow_server, "noise") == {}


def documented(language: str) -> str:
    """The first block of a language in the document."""
    text = (ROOT / "docs" / "registering.md").read_text(encoding="utf-8")
    block = re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block
    return block[1]


def test_the_document_s_program_and_its_first_command_work(bank: Elsewhere, mlflow_server: str) -> None:
    subprocess.run([sys.executable, "-c", documented("python")], cwd=bank.folder, check=True, timeout=120)
    words = shlex.split(documented("sh").splitlines()[0].replace("contracts/bank.yaml", shlex.quote(str(models.BANK))))
    assert words[0] == ".venv/bin/churn"
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", *words[1:], "--model-name", "documented", "--json"],
        cwd=bank.folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(bank.folder), "MLFLOW_TRACKING_URI": mlflow_server},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["staged"] is True
