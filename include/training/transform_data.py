"""Task `transform_data`: each customer's side of the split, and training rows made ready."""

from dataclasses import dataclass

import pandas as pd

from include.features import SplitRule
from include.params import ClassWeight, Resampling
from include.training import fit
from include.training.fit import SPLIT, Prepared, Rows
from include.training.run import TrainingRun
from include.training.validate_data import Validated

LABEL = "label"


@dataclass(frozen=True)
class Transformed:
    """What `transform_data` hands on; a side's rows are counted before resampling."""

    customers: str  # the valid ones, each with its side of the split
    training: str
    calibration: str
    scaler: str
    split: SplitRule
    training_rows: int
    calibration_rows: int
    holdout_rows: int
    training_attrited_share: float
    resampling: Resampling  # what was done, whatever params.yaml asks for
    class_weight: ClassWeight  # what the fit is to use


def transform_data(run: TrainingRun, validated: Validated) -> Transformed:
    """Split, engineer, scale by the training rows, and balance the training rows alone."""
    frame = fit.with_split(run.read_frame(validated.customers), run.contract, run.params.split)
    prepared = fit.prepare(frame, run.contract, run.params)
    labels = run.contract.labels(frame)
    rows = frame[SPLIT].value_counts()
    model = run.params.model.for_rows(int(rows["training"]))
    scaler = {
        "mean": prepared.scaler.mean_.tolist(),
        "scale": prepared.scaler.scale_.tolist(),
    }
    return Transformed(
        customers=run.write_frame("transform_data", "customers.parquet", frame),
        training=_write_rows(run, "training.parquet", prepared.training),
        calibration=_write_rows(run, "calibration.parquet", prepared.calibration),
        scaler=run.write_json("transform_data", "scaler.json", scaler),
        split=run.params.split,
        training_rows=int(rows["training"]),
        calibration_rows=int(rows["calibration"]),
        holdout_rows=int(rows["holdout"]),
        training_attrited_share=float(labels[frame[SPLIT] == "training"].mean()),
        resampling=model.resampling,
        class_weight=model.class_weight,
    )


def read_prepared(run: TrainingRun, transformed: Transformed) -> Prepared:
    """What training needs, as this task handed it on."""
    scaler = run.read_json(transformed.scaler)
    return Prepared(
        columns=run.contract.chosen(run.params.model.columns),
        scaler=fit.restored_scaler(scaler["mean"], scaler["scale"]),
        training=_read_rows(run, transformed.training),
        calibration=_read_rows(run, transformed.calibration),
        class_weight=transformed.class_weight,
    )


def _write_rows(run: TrainingRun, name: str, rows: Rows) -> str:
    names = [f"f{i}" for i in range(rows.features.shape[1])]
    frame = pd.DataFrame(rows.features, columns=names)
    return run.write_frame("transform_data", name, frame.assign(**{LABEL: rows.labels}))


def _read_rows(run: TrainingRun, key: str) -> Rows:
    frame = run.read_frame(key)
    return Rows(frame.drop(columns=LABEL).to_numpy(), frame[LABEL].to_numpy())
