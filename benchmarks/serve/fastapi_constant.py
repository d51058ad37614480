"""A bare FastAPI route that validates the same body and returns a constant."""

from __future__ import annotations

from fastapi import FastAPI

from benchmarks.customers import Customer

app = FastAPI()


@app.post("/predict")
async def predict(customer: Customer) -> dict[str, float]:  # noqa: ARG001 - validated, but not used
    return {"churn_probability": 0.5}
