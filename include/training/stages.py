"""The first four stages of a training run: customers in, a fitted candidate out.

A stage reads what the one before it wrote under `runs/<run_id>/<task_id>/` and hands on keys. To
repeat it overwrites its own keys and finds its own MLflow entries, and nobody else reads either.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.contract import FrameCheck
from include.customers import loading
from include.errors import DataError
from include.handover import now
from include.training import evaluation, fit, onnx_export
from include.training.run import TrainingRun, content_sha256

logger = logging.getLogger(__name__)

LABEL = "label"
NAMED_FAULTS = 20  # how many an error message spells out; all of them are in faults.parquet
MADE_UP_ROWS = 32
EXAMPLE_ROWS = 3
DECIMALS = 3  # of a made-up number


@dataclass(frozen=True)
class Ingested:
    """What `ingest_data` hands on."""

    customers: str
    rows: int
    unlabelled_rows: int
    snapshot_at: str
    mlflow_run_id: str


@dataclass(frozen=True)
class Validated:
    """What `validate_data` hands on."""

    customers: str
    rows: int
    rejected_rows: int
    data_sha256: str


@dataclass(frozen=True)
class Transformed:
    """What `transform_data` hands on; a side's rows are counted before resampling."""

    training: str
    calibration: str
    scaler: str
    training_rows: int
    calibration_rows: int
    holdout_rows: int
    training_attrited_share: float


@dataclass(frozen=True)
class Trained:
    """What `train_model` hands on."""

    model: str
    trees: str
    fitted: str
    candidate: str


def ingest_data(run: TrainingRun) -> Ingested:
    """Read the labelled customers and open the MLflow run."""
    snapshot_at = now()
    loading.stamp_labels(run.engine, snapshot_at)
    frame = loading.read_customers(run.engine, run.contract, labelled_only=True)
    total, labelled = loading.table_counts(run.engine)
    if not labelled:
        raise DataError(
            f"the table churners has {total} customers and none with a label: load customers whose "
            f"{run.contract.target.name} is known; nothing is trained on an empty table"
        )
    mlflow_run_id = run.registry.ensure_run(run.dag_run_id, run.tags)
    run.registry.log(
        mlflow_run_id,
        params={
            "family": run.params.model.family,
            "resampling": run.params.model.resampling,
            "columns": len(run.contract.chosen(run.params.model.columns)),
            "threshold": run.params.model.threshold,
            "seed": run.params.model.seed,
            **{f"split_{k}": v for k, v in run.params.split.model_dump().items()},
            **run.params.model.hyperparameters,
        },
        metrics={"customers_labelled": len(frame), "customers_unlabelled": total - labelled},
    )
    key = run.write_frame("ingest_data", "customers.parquet", frame)
    logger.info("read %s labelled customers of %s", len(frame), total)
    return Ingested(key, len(frame), total - labelled, snapshot_at.isoformat(), mlflow_run_id)


def validate_data(run: TrainingRun, ingested: Ingested) -> Validated:
    """Check every row against the contract; rows at fault are set aside, too many fail the run."""
    frame = run.read_frame(ingested.customers)
    missing = run.contract.missing_columns(frame.columns)
    if missing:
        raise DataError(
            f"the table churners lacks the columns {', '.join(missing)}: add them, or change "
            "schema.yaml if the bank no longer has them"
        )
    check = run.contract.check_frame(frame)
    faults = check.faults.assign(
        key=frame[run.contract.key.name].iloc[check.faults["position"]].astype(str).to_numpy()
    )
    run.write_frame("validate_data", "faults.parquet", faults)
    run.write_frame("validate_data", "rejected.parquet", frame[~check.valid].astype(str))
    _refuse(run, frame, check, faults)
    valid = frame[check.valid].reset_index(drop=True)
    digest = content_sha256(valid)
    run.registry.log(
        ingested.mlflow_run_id,
        metrics={"customers_rejected": check.rejected_rows},
        tags={"data_sha256": digest},
    )
    key = run.write_frame("validate_data", "customers.parquet", valid)
    return Validated(key, len(valid), check.rejected_rows, digest)


def transform_data(run: TrainingRun, validated: Validated) -> Transformed:
    """Engineer, scale by the training rows, and balance the training rows alone."""
    frame = run.read_frame(validated.customers)
    prepared = fit.prepare(frame, run.contract, run.params)
    sides = run.params.split.sides(frame[run.contract.key.name].tolist())
    scaler = {
        "mean": prepared.scaler.mean_.tolist(),
        "scale": prepared.scaler.scale_.tolist(),
    }
    return Transformed(
        training=_write_rows(run, "training.parquet", prepared.training),
        calibration=_write_rows(run, "calibration.parquet", prepared.calibration),
        scaler=run.write_json("transform_data", "scaler.json", scaler),
        training_rows=int((sides == "training").sum()),
        calibration_rows=int((sides == "calibration").sum()),
        holdout_rows=int((sides == "holdout").sum()),
        training_attrited_share=float(run.contract.labels(frame)[sides == "training"].mean()),
    )


def train_model(
    run: TrainingRun, ingested: Ingested, validated: Validated, transformed: Transformed
) -> Trained:
    """Fit and calibrate, export to ONNX, register the candidate."""
    prepared = _prepared(run, transformed)
    fitted = fit.fit(prepared, run.params.model)
    holdout = holdout_rows(run, run.read_frame(validated.customers))
    model = onnx_export.export(fitted, run.contract.matrix(holdout, fitted.columns))
    made_up = made_up_rows(run, prepared)
    gains = fitted.trees.get_booster().get_score(importance_type="total_gain")
    candidate = run.registry.register_candidate(
        ingested.mlflow_run_id, model, made_up.head(EXAMPLE_ROWS), run.tags
    )
    return Trained(
        model=run.write("train_model", "model.onnx", model),
        trees=run.write("train_model", "trees.ubj", fit.native_trees(fitted.trees)),
        fitted=run.write_json(
            "train_model",
            "fitted.json",
            {
                "calibration": fitted.calibration.model_dump(),
                "importance": evaluation.importance(gains, fitted.feature_names),
                "made_up_rows": made_up.to_numpy().tolist(),
            },
        ),
        candidate=candidate,
    )


def holdout_rows(run: TrainingRun, frame: pd.DataFrame) -> pd.DataFrame:
    """The customers that judge and never train."""
    sides = run.params.split.sides(frame[run.contract.key.name].tolist())
    held: pd.DataFrame = frame[sides == "holdout"].reset_index(drop=True)
    return held


def made_up_rows(run: TrainingRun, prepared: fit.Prepared, *, middle: float = 0.8) -> pd.DataFrame:
    """Rows of the model's input that are nobody's: each column by itself from its middle range.

    They are the self-check rows and the registry's input example, which many may read.
    """
    random = np.random.default_rng(run.params.model.seed)
    tails = [(1 - middle) / 2, (1 + middle) / 2]
    scaled = np.quantile(prepared.training.features, tails, axis=0)
    lows, highs = scaled * prepared.scaler.scale_ + prepared.scaler.mean_
    drawn = {}
    for name, low, high in zip(prepared.columns, lows, highs, strict=False):
        column = run.contract.column(name)
        values = random.uniform(low, high, MADE_UP_ROWS)
        if column.categories:
            drawn[name] = np.clip(np.round(values), 0, len(column.categories) - 1)
            continue
        tidy = np.round(values, 0 if column.type == "integer" else DECIMALS)
        drawn[name] = np.clip(tidy, column.minimum, column.maximum)
    return pd.DataFrame(drawn, dtype=np.float64)


def _refuse(run: TrainingRun, frame: pd.DataFrame, check: FrameCheck, faults: pd.DataFrame) -> None:
    """Fail where the table as a whole cannot be trained on."""
    share, allowed = check.rejected_rows / len(frame), run.params.validation.rejected_share_max
    named = "; ".join(
        f"customer {fault.key}: {fault.column} expected {fault.expected}, found {fault.found}"
        for fault in faults.head(NAMED_FAULTS).itertuples()
    )
    if share > allowed:
        raise DataError(
            f"{check.rejected_rows} of {len(frame)} customers ({share:.1%}) break the contract, "
            f"allowed are {allowed:.1%}: {named}; all {len(faults)} faults are in "
            f"{run.key('validate_data', 'faults.parquet')}"
        )
    if check.rejected_rows:
        logger.warning("set aside %s customers: %s", check.rejected_rows, named)
    valid, least = len(frame) - check.rejected_rows, run.params.validation.rows_min
    if valid < least:
        raise DataError(
            f"{valid} labelled customers keep the contract, training needs {least} "
            "(validation.rows_min): load more"
        )
    fit.need_both_classes("table", run.contract.labels(frame[check.valid]))


def _write_rows(run: TrainingRun, name: str, rows: fit.Rows) -> str:
    names = [f"f{i}" for i in range(rows.features.shape[1])]
    frame = pd.DataFrame(rows.features, columns=names)
    return run.write_frame("transform_data", name, frame.assign(**{LABEL: rows.labels}))


def _read_rows(run: TrainingRun, key: str) -> fit.Rows:
    frame = run.read_frame(key)
    return fit.Rows(frame.drop(columns=LABEL).to_numpy(), frame[LABEL].to_numpy())


def _prepared(run: TrainingRun, transformed: Transformed) -> fit.Prepared:
    scaler = run.read_json(transformed.scaler)
    return fit.Prepared(
        columns=run.contract.chosen(run.params.model.columns),
        scaler=fit.restored_scaler(scaler["mean"], scaler["scale"]),
        training=_read_rows(run, transformed.training),
        calibration=_read_rows(run, transformed.calibration),
    )
