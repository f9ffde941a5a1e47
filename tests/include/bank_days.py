"""A bank's days: a champion that answers from a formula, and the log of whom it was asked about."""

from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from include.champion import versions
from include.champion.calibration import Calibration
from include.champion.versions import Manifest
from include.contract import load_contract
from include.customers.sample import NO_DRIFT, Drift, sample_customers
from include.drift.run import DriftRun
from include.features import SplitRule
from include.handover import frame_bytes
from include.params import load_params
from include.predictions import log as prediction_log
from include.settings import Settings
from include.store import Store

CONTRACT = load_contract()
DAY = date(2026, 5, 4)
NOW = datetime(2026, 5, 5, 0, 30, tzinfo=UTC)
ID_KEY = b"k"
RULES = load_params(Settings().params_file).drift
SNAPSHOT = datetime(2026, 5, 1, tzinfo=UTC)
SPLIT = SplitRule(salt="churn", calibration_share=0.1, holdout_share=0.2)
BUSY_SHIFT = Drift(0.5, ("Total_Trans_Amt", "Total_Trans_Ct", "Total_Ct_Chng_Q4_Q1"))


def score(people: pd.DataFrame) -> NDArray[np.float64]:
    """P(churn) by a formula: the idle leave."""
    margin = 3 - 0.08 * people["Total_Trans_Ct"].to_numpy(dtype=np.float64)
    return np.asarray(1 / (1 + np.exp(-margin)), dtype=np.float64)


def reference(people: pd.DataFrame) -> pd.DataFrame:
    """`reference.parquet` of a model trained on these people."""
    kept = people[[*CONTRACT.feature_names, CONTRACT.target.name]]
    sides = SPLIT.sides(people[CONTRACT.key.name].tolist())
    return kept.assign(split=sides, probability=score(people))


def publish(
    store: Store,
    version: str = "1",
    *,
    people: pd.DataFrame,
    at: datetime = SNAPSHOT,
    columns: tuple[str, ...] = CONTRACT.feature_names,
) -> Manifest:
    """Put a version into production that has a reference and nothing else."""
    files = {versions.REFERENCE_FILE: frame_bytes(reference(people))}
    manifest = manifest_of(version, columns, files)
    promote(store, manifest, files, at=at)
    return manifest


def promote(
    store: Store, manifest: Manifest, files: dict[str, bytes], *, at: datetime = SNAPSHOT
) -> None:
    """Write a version and put it into production."""
    found = versions.read_pointer(store)
    versions.move_pointer(
        store,
        versions.write_version(store, manifest, files),
        etag=found[1] if found else None,
        previous=found[0].version if found else None,
        reason="test",
        now=at,
    )


def log(
    store: Store,
    people: pd.DataFrame,
    *,
    day: date = DAY,
    version: str = "1",
    source: str = "customer",
    known: bool = True,
    request: str = "r",
    object_rows: int = 1000,
    **values: Any,
) -> None:
    """Log one answer for each of these people, in objects as the API writes them."""
    moment = datetime.combine(day, time(12), UTC)
    keys = people[CONTRACT.key.name].tolist()
    facts = {
        "request_id": request,
        "predicted_at": moment,
        "model_version": version,
        "source": source,
        "prediction": 0,
        "latency_seconds": 0.001,
    }
    answers = score(people).tolist()
    rows = [
        {
            **facts,
            "prediction_id": f"{request}-{version}-{source}-{key}",
            "row": 0,
            "customer_key": prediction_log.customer_key(key, ID_KEY) if known else None,
            "probability": answer,
            **record,
            **values,
        }
        for key, answer, record in zip(
            keys, answers, people[list(CONTRACT.feature_names)].to_dict("records"), strict=True
        )
    ]
    schema = prediction_log.log_schema(prediction_log.feature_columns(CONTRACT))
    table = pa.Table.from_pylist(rows, schema)
    for start in range(0, len(rows), object_rows):
        name = f"{request}-{version}-{source}-{keys[start]}"
        prediction_log.write_table(store, table.slice(start, object_rows), name=name)


def drift_run(
    name: str = "run", rules: dict[str, Any] | None = None, *, store: Store, **parts: Any
) -> DriftRun:
    """A run over DAY while nothing trains; keywords replace its parts and rules."""
    facts: dict[str, Any] = {
        "dag_run_id": name,
        "day": DAY,
        "store": store,
        "contract": CONTRACT,
        "rules": RULES.model_copy(update=rules or {}),
        "id_key": lambda: ID_KEY,
        "open_engine": lambda: None,
        "training_runs_in_flight": lambda own: 0,
        "now": NOW,
    }
    return DriftRun(**{**facts, **parts})


def people(rows: int, seed: int = 5, *, drift: Drift = NO_DRIFT) -> pd.DataFrame:
    """Customers that no other seed of these tests makes."""
    return sample_customers(rows, seed=seed, first_key=1 + seed * 1_000_000, drift=drift)


def existing(rows: int, seed: int = 5, *, drift: Drift = NO_DRIFT) -> pd.DataFrame:
    """Customers whom the bank still has."""
    found = people(2 * rows, seed, drift=drift)
    stayed = CONTRACT.labels(found) == 0
    return found[stayed].head(rows)


def manifest_of(
    version: str, columns: tuple[str, ...], files: dict[str, bytes], **facts: Any
) -> Manifest:
    """A manifest that says as little as it may, but for these facts."""
    least: dict[str, Any] = {
        "version": version,
        "created_at": SNAPSHOT,
        "snapshot_at": SNAPSHOT,
        "run_id": f"run of {version}",
        "dag_run_id": "dag run",
        "candidate_version": version,
        "model_family": "xgboost",
        "columns": columns,
        "engineered": (),
        "threshold": 0.5,
        "calibration": Calibration(slope=1, intercept=0),
        "scaler_mean": (),
        "scaler_scale": (),
        "resampling": "none",
        "split": SPLIT,
        "training_rows": 1,
        "training_attrited_share": 0.16,
        "metrics": {},
        "gate": {},
        "trigger": {},
        "data_sha256": "",
        "params_sha256": "",
        "git_commit": "",
        "contract": CONTRACT,
        "files": versions.file_entries(files),
    }
    return Manifest(**{**least, **facts})
