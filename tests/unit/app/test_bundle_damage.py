"""Only an intact bundle of this schema is ever served, however it was damaged."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.damage import cut, edit_json, external_graph, flip_byte, graph, reseal, write_graph

from app import bundle as files
from app.bundle import BUNDLE_FILES, EXPLAIN, GOLDEN, MANIFEST, MODEL, REFERENCE, BundleError, sha256
from app.model import Origin, load

_ALL = (MANIFEST, *BUNDLE_FILES)


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bundle, tmp_path / "copy")


@pytest.fixture
def registered(bundle: Path) -> str:
    return sha256((bundle / MANIFEST).read_bytes())


def _refusal(folder: Path, manifest_sha256: str | None = None) -> str:
    with pytest.raises(BundleError) as caught:
        load(folder, manifest_sha256=manifest_sha256)
    return str(caught.value)


def _resealed(folder: Path, name: str, change: Callable[[Any], None]) -> str:
    edit_json(folder / name, change)
    reseal(folder)
    return _refusal(folder)


def test_an_intact_copy_is_loaded(copy: Path, registered: str) -> None:
    model = load(copy, Origin(version="3", source="registry"), manifest_sha256=registered)
    assert model.fingerprint.hex() == registered
    assert model.origin.version == "3"
    assert load(copy).origin.version == f"local-{registered[:8]}"


@pytest.mark.parametrize("name", _ALL)
@pytest.mark.parametrize("damage", [flip_byte, cut, Path.unlink, lambda p: p.write_bytes(b"")])
def test_a_damaged_file_is_named(name: str, damage: Callable[[Path], object], copy: Path, registered: str) -> None:
    damage(copy / name)
    assert _refusal(copy, registered).startswith(f"{name}: ")


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_a_damaged_file_is_detected_without_a_registry_too(name: str, copy: Path) -> None:
    flip_byte(copy / name)
    assert _refusal(copy) == f"{name}: its sha256 is not the one in the manifest"


@pytest.mark.parametrize("name", _ALL)
def test_a_file_of_another_bundle_is_refused(name: str, copy: Path, other_bundle: Path, registered: str) -> None:
    shutil.copy(other_bundle / name, copy / name)
    assert _refusal(copy, registered).startswith(f"{name}: ")


def test_another_complete_bundle_is_refused_by_the_registered_digest(other_bundle: Path, registered: str) -> None:
    load(other_bundle)
    assert _refusal(other_bundle, registered) == "manifest.json: its sha256 is not the registered one (manifest_sha256)"


def test_a_resealed_change_is_refused_by_the_registered_digest(copy: Path, registered: str) -> None:
    edit_json(copy / GOLDEN, lambda g: g["rows"].pop())
    reseal(copy)
    load(copy)
    assert "its sha256 is not the registered one" in _refusal(copy, registered)


def test_a_file_that_grew_is_not_read_to_its_end(copy: Path) -> None:
    with (copy / MODEL).open("ab") as file:
        file.truncate(files.MAX_FILE_BYTES * 4)  # sparse: takes no disk space
    size = json.loads((copy / MANIFEST).read_bytes())["files"][MODEL]["bytes"]
    assert _refusal(copy) == f"{MODEL}: {size + 1} bytes, the manifest says {size}"


def test_a_manifest_that_is_too_large_is_not_read_to_its_end(copy: Path) -> None:
    with (copy / MANIFEST).open("ab") as file:
        file.truncate(files.MAX_FILE_BYTES * 4)
    assert _refusal(copy).startswith(f"{MANIFEST}: ")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.update(format=3), "manifest.json: format: Input should be 1 or 2"),
        (lambda m: m.update(format=1), "manifest.json: made for customer schema None; this process has 1"),
        (lambda m: m.update(more=1), "manifest.json: more: Extra inputs are not permitted"),
        (lambda m: m.pop("threshold"), "manifest.json: threshold: Field required"),
        (lambda m: m.update(threshold=1.5), "manifest.json: threshold: Input should be less than or equal to 1"),
        (lambda m: m.update(threshold="NaN"), "manifest.json: threshold: Input should be a finite number"),
        (lambda m: m.update(model_type="pickle"), "manifest.json: model_type: Input should be"),
        (lambda m: m["files"].pop(MODEL), "manifest.json: names no model.onnx"),
        (lambda m: m["files"].clear(), "manifest.json: names no model.onnx, golden.json"),
        (
            lambda m: m["files"][MODEL].update(bytes=2**40),
            "manifest.json: files.model.onnx.bytes: Input should be less",
        ),
        (lambda m: m["files"][MODEL].update(bytes=0), "manifest.json: files.model.onnx.bytes: Input should be greater"),
        (
            lambda m: m["files"][MODEL].update(bytes=-1),
            "manifest.json: files.model.onnx.bytes: Input should be greater",
        ),
        (lambda m: m["files"][MODEL].update(sha256="x"), "manifest.json: files.model.onnx.sha256: String should match"),
    ],
)
def test_an_invalid_manifest_says_where(change: Callable[[Any], None], reason: str, copy: Path) -> None:
    edit_json(copy / MANIFEST, change)
    assert _refusal(copy).startswith(reason)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "model.onnx/../../secret", "..", "", "model.pkl"])
def test_a_manifest_cannot_name_other_files(name: str, copy: Path) -> None:
    (copy.parent / "secret").write_bytes(b"x")
    edit_json(copy / MANIFEST, lambda m: m["files"].update({name: m["files"][MODEL]}))
    assert "Input should be 'model.onnx'" in _refusal(copy)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{" * 100_000, b"\xff\xfe", b'{"format": NaN}'])
def test_a_file_that_is_no_manifest_is_refused(data: bytes, copy: Path) -> None:
    (copy / MANIFEST).write_bytes(data)
    assert _refusal(copy).startswith(f"{MANIFEST}: ")


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (GOLDEN, lambda g: g["rows"].clear(), "golden.json: List should have at least 1 item"),
        (GOLDEN, lambda g: g.update(rows=g["rows"] * 100), "golden.json: List should have at most 1000 items"),
        (GOLDEN, lambda g: g["rows"][1].update(score=2), "golden.json: Input should be less than or equal to 1"),
        (
            GOLDEN,
            lambda g: g["rows"][1]["customer"].pop("gender"),
            "golden.json: row 1 is not a valid customer: Field required",
        ),
        (GOLDEN, lambda g: g["rows"][1].update(score=g["rows"][1]["score"] / 2), "model.onnx: golden row 1 scores 0."),
        (REFERENCE, lambda r: r["features"].pop("gender"), "reference.json: no usable bins for gender"),
        (
            REFERENCE,
            lambda r: r["features"]["gender"]["proportions"].pop(),
            "reference.json: no usable bins for gender",
        ),
        (REFERENCE, lambda r: r["features"]["gender"].update(edges=[0.5]), "reference.json: no usable bins for gender"),
        (
            REFERENCE,
            lambda r: r["features"]["tenure_months"].update(edges=None, proportions=[1.0]),
            "reference.json: no usable bins for tenure_months",
        ),
        (
            REFERENCE,
            lambda r: r["features"]["monthly_charges"]["edges"].reverse(),
            "reference.json: no usable bins for monthly_charges",
        ),
        (REFERENCE, lambda r: r["score"]["proportions"].pop(), "reference.json: no usable bins for the score"),
        (REFERENCE, lambda r: r["score"].update(edges=None), "reference.json: no usable bins for the score"),
        (
            EXPLAIN,
            lambda e: e["explainer"]["contributions"].pop("gender"),
            "explain.json: its contributions do not fit",
        ),
        (
            EXPLAIN,
            lambda e: e["explainer"]["contributions"]["contract"].pop(),
            "explain.json: its contributions do not fit",
        ),
        (
            EXPLAIN,
            lambda e: e.update(explainer={"method": "occlusion", "reference": [0.0] * 18}),
            "explain.json: 18 reference values, not 19",
        ),
        (EXPLAIN, lambda e: e["explainer"].update(method="code"), "explain.json: Input tag 'code'"),
    ],
)
def test_a_resealed_file_that_does_not_fit_is_refused(
    name: str, change: Callable[[Any], None], reason: str, copy: Path
) -> None:
    assert _resealed(copy, name, change).startswith(reason)


def test_a_model_that_scores_differently_is_refused(copy: Path, other_bundle: Path) -> None:
    shutil.copy(other_bundle / MODEL, copy / MODEL)
    reseal(copy)
    message = _refusal(copy)
    assert message.startswith("model.onnx: golden row ")
    assert "tolerance 1e-05" in message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"garbage", "ONNX Runtime refuses it"),
        (b"\0" * 1000, "ONNX Runtime refuses it"),
        (graph()[:-20], "ONNX Runtime refuses it"),
        (graph(source="rows"), "takes [('rows', 'tensor(float)', 19)], not one float input of 19 columns"),
        (graph(columns=18), "takes [('features', 'tensor(float)', 18)], not one float input of 19 columns"),
        (graph(result="scores"), "has no output named probabilities"),
        (graph(value=float("nan")), "golden row 0 scores nan"),
        (graph(value=float("inf")), "golden row 0 scores inf"),
        (graph(), "golden row "),
    ],
    ids=["text", "zeros", "cut", "input-name", "input-shape", "output-name", "nan", "infinity", "constant"],
)
def test_a_resealed_graph_that_does_not_fit_is_refused(data: bytes, reason: str, copy: Path) -> None:
    write_graph(copy, data)
    message = _refusal(copy)
    assert message.startswith("model.onnx: ")
    assert reason in message


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "absolute"])
@pytest.mark.parametrize("working_folder", ["bundle", "elsewhere"])
def test_a_graph_that_reads_another_file_is_refused(
    location: str, working_folder: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (copy, copy.parent):
        np.zeros((19, 2), dtype=np.float32).tofile(folder / "weights.bin")
    monkeypatch.chdir(copy if working_folder == "bundle" else copy.parent)
    write_graph(copy, external_graph(str(copy / "weights.bin") if location == "absolute" else location))
    assert "ONNX Runtime refuses it" in _refusal(copy)


class _Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(self._path),)


def test_the_canary_sings_when_it_is_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(_Canary(tmp_path / "sung")))  # noqa: S301  # our own, to prove that the next test can fail
    assert (tmp_path / "sung").exists()


@pytest.mark.parametrize("name", [MODEL, GOLDEN, REFERENCE, EXPLAIN, MANIFEST])
def test_a_pickle_in_place_of_a_file_is_not_run(name: str, copy: Path, tmp_path: Path) -> None:
    (copy / name).write_bytes(pickle.dumps(_Canary(tmp_path / "sung")))
    if name != MANIFEST:
        reseal(copy)
    assert _refusal(copy).startswith(f"{name}: ")
    assert not (tmp_path / "sung").exists()


@pytest.mark.parametrize("name", ["model.pkl", "model.skops", "conftest.py", "__init__.py", "sitecustomize.py"])
def test_a_planted_file_is_never_opened(name: str, copy: Path, tmp_path: Path, registered: str) -> None:
    (copy / name).write_bytes(pickle.dumps(_Canary(tmp_path / "sung")))
    (copy / name).chmod(0)
    load(copy, manifest_sha256=registered)
    assert not (tmp_path / "sung").exists()
