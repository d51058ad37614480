"""How commands fail: one clear message, the right exit code, and JSON for whoever asked for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.commands import churn
from support.paths import ROOT

from ops import progress
from ops.cli import failures
from ops.console import Output, UnfinishedError
from ops.errors import OpsError
from training.files import PathError

HEAVY = "{'mlflow', 'pandas', 'sklearn', 'numpy', 'pyarrow', 'onnxruntime', 'boto3'}"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "_doing", [])
    for name in ("MLFLOW_TRACKING_URI", "CHURN_DEBUG"):
        monkeypatch.delenv(name, raising=False)


def failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Run a command with and without ``--json``; returns the error of the JSON, once both were held together."""
    plain = churn(monkeypatch, *arguments)
    words = capsys.readouterr()
    code = churn(monkeypatch, *arguments, "--json")
    shown = capsys.readouterr()
    error: dict[str, Any] = json.loads(shown.out)["error"]
    assert code == plain == error["exit_code"]
    first = error["message"].splitlines()[0]
    assert first in shown.err
    assert first.split(":", 1)[-1][:40] in words.err
    return error


def test_a_missing_file_is_2_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = failed(monkeypatch, capsys, "score", "none.csv", "out.csv")
    assert error["exit_code"] == 2
    remedy = "expected the path of a CSV, Excel or Parquet file, or a folder of them"
    assert error["problems"] == [{"path": "none.csv", "problem": "no such file", "remedy": remedy}]


def test_wrong_data_is_2_with_each_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "c.csv").write_text("gender,churned\nOther,1\n")
    error = failed(monkeypatch, capsys, "train", "--data", "c.csv", "--tracking-uri", "http://127.0.0.1:9")
    assert error["exit_code"] == 2
    assert len(error["problems"]) > 15
    assert {"gender", "tenure_months"} <= {problem["column"] for problem in error["problems"]}


def test_a_setting_that_cannot_work_is_2_with_its_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = failed(monkeypatch, capsys, "train", "--offer-cost", "1000")
    assert error["exit_code"] == 2
    (problem,) = error["problems"]
    assert "an offer of 1000 can never pay" in problem["problem"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("score",), "Missing argument"),
        (("score", "a.csv", "b.csv", "--model", "v3"), "'v3' is neither a folder nor one of production"),
        (("promote", "--version", "v3"), "'v3' is not a version number: give it as MLflow shows it, for example 3"),
        (("train", "--nonsense"), "No such option: --nonsense"),
        (("data", "generate", "--rows", "few"), "Invalid value for '--rows'"),
        (("nonsense",), "No such command"),
    ],
)
def test_wrong_usage_is_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert churn(monkeypatch, *arguments, "--json") == 2
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert error["exit_code"] == 2
    assert message in error["message"]
    assert message in shown.err
    assert churn(monkeypatch, *arguments) == 2
    assert "Error" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = failed(monkeypatch, capsys, "history", "--tracking-uri", "http://127.0.0.1:9")
    assert (error["exit_code"], error["problems"]) == (1, [])


def test_help_and_success_are_0_as_before(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert churn(monkeypatch, "key", "shop", "--json") == 0
    assert "key" in json.loads(capsys.readouterr().out)
    assert churn(monkeypatch, "score", "--json", "--help") == 0


@pytest.mark.parametrize("error", [KeyError("gender"), AttributeError(), OSError(5, "Input/output error")])
def test_an_unexpected_error_names_its_class_the_step_and_how_to_see_more(error: Exception) -> None:
    progress.note("fit (the model)")
    text = failures.words(error, ["train", "--data", "c.csv"])
    assert text.startswith(f"unexpected {type(error).__name__} in 'churn train' at the step 'fit (the model)': ")
    assert text.endswith("Run it again with CHURN_DEBUG=1 in the environment to see the traceback")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["--debug", "data", "generate", "--rows", "3"], "churn data generate"),
        (["score", "a.csv", "b.csv"], "churn score"),
        ([], "churn"),
    ],
)
def test_the_command_is_named_without_its_arguments(arguments: list[str], command: str) -> None:
    assert f" in '{command}': " in failures.words(KeyError("x"), arguments)


def test_our_own_errors_are_shown_unchanged() -> None:
    assert failures.words(OpsError("start it first")) == "start it first"
    assert failures.words(PathError("a", "no such file", "name another")) == "a: no such file; name another"


def test_a_result_is_printed_beside_the_error_that_followed_it(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)

    def work() -> None:
        with output.result_even_if_it_fails({"version": "3"}, lambda: None):
            raise OpsError("not promoted")

    with pytest.raises(UnfinishedError) as caught:
        work()
    assert failures.tell(caught.value, ["train", "--json"]) == 2
    shown = capsys.readouterr()
    expected = {"message": "not promoted", "exit_code": 2, "problems": []}
    assert json.loads(shown.out) == {"version": "3", "error": expected}
    assert shown.err == "Error: not promoted\n"


def test_a_result_without_an_error_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=True).result_even_if_it_fails({"version": "3"}, lambda: None):
        pass
    assert json.loads(capsys.readouterr().out) == {"version": "3"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--data", "none.csv"), "no such file"),
        (("train",), "make some with `churn data generate`"),
        (("train", "--data", "folder"), "the folder is empty"),
        (("train", "--data", "here.pdf"), "the content is PDF"),
        (("train", "--data", "ftp://host/a.csv"), "the scheme is ftp:"),
        (("score", "none.csv", "out.csv"), "no such file"),
        (("score", "here.csv", "folder"), "it is a folder"),
        (("score", "here.csv", "./here.csv"), "it is the same file as the input"),
        (("score", "here.csv", "here.txt"), "the extension is .txt"),
        (("data", "generate", "--out", "here.csv"), "it exists already"),
        (("data", "telco", "--out", "here.csv"), "it exists already"),
    ],
)
def test_a_wrong_path_is_reported_before_the_numerical_libraries_load(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "here.csv").write_text("x")
    (tmp_path / "here.pdf").write_bytes(b"%PDF-1.7")
    program = (
        "import sys\n"
        "from ops.cli import main as cli\n"
        f"sys.argv = ['churn', *{arguments!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    code = ended.code\n"
        f"loaded = sorted({HEAVY} & set(sys.modules))\n"
        "sys.exit(f'loaded: {loaded}' if loaded else code)"
    )
    environment = {"PYTHONPATH": str(ROOT), "CHURN_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "loaded:" not in done.stderr
    assert message in done.stderr
    assert done.returncode == 2
