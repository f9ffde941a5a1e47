"""Task `transform_data`: each customer's side of the split, and training rows made ready."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from include.features import SplitRule
from include.params import ClassWeight, Resampling
from include.training import fit
from include.training.fit import SPLIT, Rows
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


def _write_rows(run: TrainingRun, name: str, parts: Iterable[Rows]) -> str:
    return run.write_batches("transform_data", name, map(_named, parts))


def _named(rows: Rows) -> pd.DataFrame:
    names = [f"f{i}" for i in range(rows.features.shape[1])]
    return pd.DataFrame(rows.features, columns=names).assign(**{LABEL: rows.labels})
