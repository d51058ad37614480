"""Models of the bank's customers that were trained without this project: graphs over codes, and raw pipelines."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
from lightgbm import LGBMClassifier
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as LightGbmFloats
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from support.paths import ROOT

from app.contract import Contract
from training.contract_file import read
from training.contract_rows import RowsConfig, write

BANK: Final = ROOT / "contracts" / "bank.yaml"


@dataclass(frozen=True)
class Elsewhere:
    """Two files of customers, and how their owner codes them: by the text of the contract, without our code."""

    folder: Path
    contract: Contract
    medians: dict[str, float]

    @property
    def train(self) -> Path:
        return self.folder / "train.csv"

    @property
    def holdout(self) -> Path:
        return self.folder / "holdout.csv"

    def table(self, path: Path) -> pd.DataFrame:
        return pd.read_csv(path)

    def labels(self, path: Path) -> npt.NDArray[np.int64]:
        return self.table(path)[self.contract.label.name].to_numpy(dtype=np.int64)

    def coded(self, path: Path) -> npt.NDArray[np.float32]:
        """The matrix of codes."""
        table = self.table(path)
        columns = []
        for feature in self.contract.features:
            values = table[feature.name]
            if feature.is_category:
                columns.append(values.map({name: code for code, name in enumerate(feature.categories)}))
            else:
                columns.append(values.fillna(self.medians.get(feature.name, np.nan)))
        return np.column_stack([column.to_numpy(dtype=np.float32) for column in columns])

    def raw(self, path: Path) -> pd.DataFrame:
        """The features as they are, with blanks filled."""
        return self.table(path)[list(self.contract.names)].fillna(self.medians)

    def write_golden(self, path: Path, scores: npt.NDArray[Any], rows: int = 60) -> Path:
        """Write the first held-out customers with these scores, as JSON lines or as CSV by the file's name."""
        table = self.table(self.holdout)[list(self.contract.names)].head(rows)
        records = [
            {name: None if pd.isna(value) else self._value(name, value) for name, value in record.items()}
            | {"score": float(score)}
            for record, score in zip(table.to_dict("records"), scores, strict=False)
        ]
        if path.suffix == ".csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(records[0]))
                writer.writeheader()
                writer.writerows(records)
        else:
            path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        return path

    def _value(self, name: Any, value: Any) -> Any:
        feature = self.contract.by_name[name]
        if feature.is_category:
            return value
        return bool(value) if feature.type == "boolean" else float(value)


def customers(folder: Path, rows: int = 1500) -> Elsewhere:
    """Write both files."""
    contract = read(BANK)
    folder.mkdir(parents=True, exist_ok=True)
    write(contract, RowsConfig(rows=2 * rows, seed=1), str(folder / "all.csv"))
    table = pd.read_csv(folder / "all.csv")
    table[:rows].to_csv(folder / "train.csv", index=False)
    table[rows:].to_csv(folder / "holdout.csv", index=False)
    salaries = table["estimated_salary"][:rows]
    return Elsewhere(folder, contract, {"estimated_salary": float(salaries.median())})


def linear(it: Elsewhere) -> Pipeline:
    """A logistic regression over the codes, which is fitted on the training file."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(it.coded(it.train), it.labels(it.train))


def linear_graph(it: Elsewhere, model: Pipeline, **options: Any) -> onnx.ModelProto:
    """Its graph as skl2onnx writes it: a label, and probabilities in a ZipMap unless an option says otherwise."""
    shape = [None, len(it.contract.features)]
    graph: onnx.ModelProto = to_onnx(
        model, initial_types=[("x", FloatTensorType(shape))], options={id(model): options}, target_opset=18
    )
    return graph


def trees(it: Elsewhere) -> LGBMClassifier:
    """Boosted trees of LightGBM over the codes."""
    model = LGBMClassifier(n_estimators=30, num_leaves=7, random_state=3, verbose=-1, n_jobs=1)
    return model.fit(it.coded(it.train), it.labels(it.train))


def trees_graph(it: Elsewhere, model: LGBMClassifier) -> onnx.ModelProto:
    """Their graph as onnxmltools writes it."""
    shape = [None, len(it.contract.features)]
    graph: onnx.ModelProto = convert_lightgbm(model, initial_types=[("input", LightGbmFloats(shape))], target_opset=15)
    return graph


def churn(model: Any, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Probabilities of churn by the model itself."""
    return np.asarray(model.predict_proba(features), dtype=np.float64)[:, 1]


def raw_pipeline(it: Elsewhere) -> Pipeline:
    """A pipeline over the raw columns, as a colleague with pandas writes one."""
    texts = [f.name for f in it.contract.features if f.is_category]
    numbers = [f.name for f in it.contract.features if not f.is_category]
    columns = ColumnTransformer([("texts", OneHotEncoder(), texts), ("numbers", StandardScaler(), numbers)])
    return make_pipeline(columns, LogisticRegression()).fit(it.raw(it.train), it.labels(it.train))
