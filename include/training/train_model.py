"""Task `train_model`: trees and calibration, one ONNX graph, a candidate in the registry."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.handover import batches_of
from include.training import evaluation, fit, onnx_export
from include.training.fit import SPLIT, Prepared, Rows
from include.training.ingest_data import Ingested
from include.training.run import TrainingRun
from include.training.transform_data import LABEL, Transformed

MADE_UP_ROWS = 32
MIDDLE = (0.1, 0.9)  # quantiles between which they are drawn
EXAMPLE_ROWS = 3
DECIMALS = 3  # of a made-up number


@dataclass(frozen=True)
class Trained:
    """What `train_model` hands on."""

    model: str
    trees: str
    fitted: str
    candidate: str


@dataclass(frozen=True)
class StoredRows:
    """Rows as `transform_data` stored them: compressed in memory, a part of them at a time."""

    data: bytes

    def __iter__(self) -> Iterator[Rows]:
        for frame in batches_of(self.data):
            yield Rows(frame.drop(columns=LABEL).to_numpy(), frame[LABEL].to_numpy())


def train_model(run: TrainingRun, ingested: Ingested, transformed: Transformed) -> Trained:
    """Fit and calibrate, export to ONNX, register the candidate."""
    run.registry.log(
        ingested.mlflow_run_id,
        # Tags, because a run that is cleared with other rows may be balanced otherwise.
        tags={
            "resampling": transformed.resampling,
            "class_weight": transformed.class_weight,
            "balancing": run.params.model.balancing(transformed.training_rows),
        },
    )
    prepared = read_prepared(run, transformed)
    fitted = fit.fit(prepared, run.params.model)
    model = onnx_export.export(
        fitted, run.contract.matrix(_probe(run, transformed), fitted.columns)
    )
    made_up = made_up_rows(run, prepared)
    gains = fitted.trees.get_score(importance_type="total_gain")
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


def read_prepared(run: TrainingRun, transformed: Transformed) -> Prepared:
    """What training needs, as `transform_data` handed it on."""
    scaler = run.read_json(transformed.scaler)
    return Prepared(
        columns=run.columns,
        scaler=fit.restored_scaler(scaler["mean"], scaler["scale"]),
        training=StoredRows(run.read(transformed.training)),
        calibration=StoredRows(run.read(transformed.calibration)),
        class_weight=transformed.class_weight,
    )


def _probe(run: TrainingRun, transformed: Transformed) -> pd.DataFrame:
    """Hold-out customers on whom graph and trees must agree: those of the table's first part."""
    return next(run.read_batches(transformed.customers, where=(SPLIT, "holdout")))


def made_up_rows(run: TrainingRun, prepared: Prepared) -> pd.DataFrame:
    """Rows of the model's input that are nobody's: each column by itself from its middle range.

    They are the self-check rows and the registry's input example, which many may read. A part of
    the calibration rows says where the middle is.
    """
    random = np.random.default_rng(run.params.model.seed)
    scaled = np.quantile(next(iter(prepared.calibration)).features, MIDDLE, axis=0)
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
