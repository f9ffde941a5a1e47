"""The reference way of working: FastAPI, a DataFrame for each request, MLflow's pyfunc, an S3 PUT.

Started by bench_api.py with PEER_MODEL (an MLflow model directory), PEER_CONTRACT (a JSON object of
columns with their categories) and, for the variant that logs, PEER_BUCKET.
"""

import json
import os
import uuid
from datetime import UTC, datetime
from typing import Any

import boto3
import mlflow.pyfunc  # noqa: TID253  (this is a server, not a module that others import)
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, create_model

CATEGORIES: dict[str, list[str]] = json.loads(os.environ["PEER_CONTRACT"])
BUCKET = os.environ.get("PEER_BUCKET", "")
Record: Any = create_model(  # type: ignore[call-overload]
    "Record", **{name: (str if values else float, ...) for name, values in CATEGORIES.items()}
)


class Batch(BaseModel):
    """Many records."""

    records: list[Record]


app = FastAPI()
model = mlflow.pyfunc.load_model(os.environ["PEER_MODEL"])
client = boto3.client("s3") if BUCKET else None


def answer(records: list[Any]) -> dict[str, Any]:
    """Records to DataFrame to model to answer, and perhaps one object in S3."""
    frame = pd.DataFrame([record.model_dump() for record in records])
    for name, values in CATEGORIES.items():
        if values:
            frame[name] = frame[name].map(values.index).astype(float)
    found = model.predict(frame)
    probabilities = [float(p) for p in found["probability"]]
    document = {
        "predictions": [int(p >= 0.5) for p in probabilities],
        "probabilities": probabilities,
        "model_version": "1",
        "timestamp": datetime.now(UTC).isoformat(),
        "num_samples": len(probabilities),
    }
    if client is not None:
        log = {"input": [record.model_dump() for record in records], "output": document}
        client.put_object(
            Bucket=BUCKET, Key=f"logs/{uuid.uuid4()}.json", Body=json.dumps(log).encode()
        )
    return document


@app.get("/health")
def health() -> dict[str, str]:
    """That the process lives."""
    return {"status": "OK"}


@app.post("/predict")
def predict(record: Record) -> dict[str, Any]:
    """Answer for one record."""
    return answer([record])


@app.post("/predict_batch")
def predict_batch(batch: Batch) -> dict[str, Any]:
    """Answer for many records."""
    return answer(batch.records)
