"""FastAPI with ONNX Runtime in the route and nothing tuned."""

from __future__ import annotations

import os
from pathlib import Path

import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

from app import bundle
from benchmarks.customers import Customer, encode


class Batch(BaseModel):
    customers: list[Customer]


app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(Path(os.environ["BENCH_ONNX"]).read_bytes(), options)


def score(customers: list[Customer]) -> list[float]:
    features = encode([c.model_dump() for c in customers])
    scores: list[float] = session.run([bundle.OUTPUT_NAME], {bundle.INPUT_NAME: features})[0][:, 1].tolist()
    return scores


@app.post("/predict")
async def predict(customer: Customer) -> dict[str, float]:
    return {"churn_probability": score([customer])[0]}


@app.post("/predict/batch")
async def predict_batch(batch: Batch) -> dict[str, list[float]]:
    return {"churn_probabilities": score(batch.customers)}
