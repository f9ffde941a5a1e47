"""Task `train_model`: trees and calibration, one ONNX graph, a candidate in the registry."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.training import evaluation, fit, onnx_export
from include.training.fit import SPLIT, Prepared
from include.training.ingest_data import Ingested
from include.training.run import TrainingRun
from include.training.transform_data import Transformed, read_prepared

MADE_UP_ROWS = 32
EXAMPLE_ROWS = 3
DECIMALS = 3  # of a made-up number


@dataclass(frozen=True)
class Trained:
    """What `train_model` hands on."""

    model: str
    trees: str
    fitted: str
    candidate: str


def train_model(run: TrainingRun, ingested: Ingested, transformed: Transformed) -> Trained:
    """Fit and calibrate, export to ONNX, register the candidate."""
    prepared = read_prepared(run, transformed)
    fitted = fit.fit(prepared, run.params.model)
    everyone = run.read_frame(transformed.customers)
    holdout = everyone[everyone[SPLIT] == "holdout"]
    model = onnx_export.export(fitted, run.contract.matrix(holdout, fitted.columns))
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


def made_up_rows(run: TrainingRun, prepared: Prepared, *, middle: float = 0.8) -> pd.DataFrame:
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
