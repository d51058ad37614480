"""FastAPI with pandas and scikit-learn in the route: the usual first version of a prediction service."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.customers import Customer
from benchmarks.serve import native


class Batch(BaseModel):
    customers: list[Customer]


app = FastAPI()
model = native.load()


@app.post("/predict")
async def predict(customer: Customer) -> dict[str, float]:
    return {"churn_probability": native.score(model, [customer.model_dump()])[0]}


@app.post("/predict/batch")
async def predict_batch(batch: Batch) -> dict[str, list[float]]:
    return {"churn_probabilities": native.score(model, [c.model_dump() for c in batch.customers])}
