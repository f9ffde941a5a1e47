"""A small bank for the dashboard: customers, a champion that really scored them, and drift days."""

import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from include.champion import versions
from include.champion.onnx_scorer import Scorer
from include.contract import load_contract
from include.customers import loading
from include.customers.database import open_engine
from include.customers.sample import sample_customers
from include.handover import frame_bytes
from include.scoring.table import score_table
from include.settings import Settings
from include.store import LocalStore, open_store
from include.training import evaluation
from tests.webapp.champions import Version, make_version, publish

ROWS = 4000
BANDS = ((0.8, "critical"), (0.5, "high"), (0.2, "medium"), (0.0, "low"))
CHUNK_ROWS = 5000
TREES_FOR_REASONS = 3


@cache
def people(rows: int = ROWS) -> pd.DataFrame:
    """Sample customers; every tenth has no label yet."""
    frame = sample_customers(rows, seed=3)
    target = load_contract().target.name
    frame.loc[::10, target] = None
    return frame


@cache
def whole_version(version: str = "1") -> Version:
    """A champion with everything that the dashboard reads: evaluation and reference too."""
    manifest, files = make_version(version)
    frame = sample_customers(3000, seed=11)
    contract = manifest.contract
    answers = Scorer(files[versions.MODEL_FILE]).score(contract.matrix(frame, manifest.columns))
    labels = contract.labels(frame)
    metrics = evaluation.scores(labels, answers, threshold=manifest.threshold)
    shares = np.linspace(len(manifest.columns), 1, len(manifest.columns))
    report = {
        "threshold": manifest.threshold,
        "holdout_rows": len(frame),
        "metrics": metrics,
        "curves": evaluation.curves(labels, answers, threshold=manifest.threshold),
        "slices": [],
        "importance": dict(zip(manifest.columns, (shares / shares.sum()).tolist(), strict=True)),
    }
    reference = frame[[*contract.feature_names, contract.target.name]]
    files = {
        **files,
        versions.EVALUATION_FILE: json.dumps(report).encode(),
        versions.REFERENCE_FILE: frame_bytes(reference.assign(split="train", probability=answers)),
    }
    gate = {"outcome": "accepted", "reasons": ["there is no champion yet"], "gain": None}
    update = {"files": versions.file_entries(files), "gate": gate, "metrics": metrics}
    return manifest.model_copy(update=update), files


def open_bank(settings: Settings, *, rows: int = ROWS, scored: bool = True) -> None:
    """Fill the database and the store that the settings name."""
    publish(open_store(settings.resolved_store_uri), whole_version())
    engine = open_engine(settings.resolved_database_url)
    loading.create_table(engine)
    loading.load_customers(engine, people(rows), now=datetime.now(UTC))
    if scored:
        score_everybody(engine, people(rows))
    engine.dispose()


def score_everybody(engine: sa.Engine, frame: pd.DataFrame) -> None:
    """What the nightly run leaves in `churn_scores`."""
    manifest, files = whole_version()
    matrix = manifest.contract.matrix(frame, manifest.columns)
    answers = Scorer(files[versions.MODEL_FILE]).score(matrix)
    reasons = _reasons(matrix, manifest.columns)
    moment = datetime.now(UTC).replace(tzinfo=None)
    score_table().metadata.create_all(engine)
    rows = [
        {
            "customer": int(key),
            "probability": float(p),
            "band": next(name for begins, name in BANDS if p >= begins),
            "reasons": why,
            "model_version": manifest.version,
            "scored_at": moment,
        }
        for key, p, why in zip(
            frame[manifest.contract.key.name].tolist(), answers, reasons, strict=True
        )
    ]
    with engine.begin() as connection:
        for start in range(0, len(rows), CHUNK_ROWS):
            connection.execute(sa.insert(score_table()), rows[start : start + CHUNK_ROWS])


def _reasons(matrix: Any, names: tuple[str, ...]) -> list[str]:
    """The columns in which a customer is furthest from the mean: true enough for a list."""
    distance = (matrix - matrix.mean(axis=0)) / (matrix.std(axis=0) + 1e-9)
    order = np.argsort(-np.abs(distance), axis=1)[:, :TREES_FOR_REASONS]
    return [
        json.dumps([{"feature": names[i], "contribution": round(float(row[i]), 4)} for i in places])
        for row, places in zip(distance, order, strict=True)
    ]


def write_drift_days(store: LocalStore, *, days: int = 10) -> date:
    """Quiet days and a last one that drifted, with its report; the last day."""
    last = date(2026, 11, 20)
    for back in range(days):
        day = last - timedelta(days=back)
        store.write(f"monitoring/date={day}/drift.json", json.dumps(_day(day, back == 0)).encode())
    page = b"<!doctype html><title>Report</title><p id=report>Evidently's page</p>"
    store.write(f"monitoring/date={last}/report.html", page)
    return last


def _day(day: date, drifted: bool) -> dict[str, Any]:
    names = load_contract().feature_names
    verdicts = [
        {
            "feature": name,
            "kind": "numeric",
            "effect": 0.31 if drifted and place < 2 else 0.01 + 0.002 * ((place + day.day) % 9),
            "effect_floor": 0.1,
            "q_value": 0.0001 if drifted and place < 2 else 0.6,
            "significant": drifted and place < 2,
            "drifted": drifted and place < 2,
        }
        for place, name in enumerate(names)
    ]
    status = "drifted" if drifted else "quiet"
    group = {"version": "1", "status": status, "rows": 2400, "verdicts": verdicts}
    guard = {"name": "few_new_labels", "passed": False, "explanation": "12 customers were labelled"}
    return {
        "date": day.isoformat(),
        "status": status,
        "explanation": "version 1 sees other customers: Customer_Age 0.31"
        if drifted
        else "no drift: 2,400 of version 1",
        "drifted": drifted,
        "rows": 2400,
        "groups": [group],
        "retraining": {
            "triggered": False,
            "explanation": "drift, and no training: 12 customers were labelled",
            "guards": [guard] if drifted else [],
            "run_id": None,
        },
    }
