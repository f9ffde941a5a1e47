"""Imports the heavy libraries into the scheduler before it forks its task workers.

Every task would else import them for itself: 20 seconds of a training run. Airflow imports this
module where it is on the path, and it is put on the scheduler's alone. Only imports: a
library that has started threads does not survive a fork. macOS starts tasks in fresh interpreters,
where this would be in vain.
"""

import importlib
import logging
import sys

logger = logging.getLogger(__name__)

__all__: list[str] = []

MODULES = (
    "airflow.providers.standard.operators.python",
    "connectorx",
    "imblearn.over_sampling",
    "matplotlib.figure",
    "mlflow.onnx",
    "onnxmltools",
    "onnxruntime",
    "pandas",
    "pyarrow.parquet",
    "sklearn.calibration",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.sqlite",
    "xgboost",
    "include.champion.registry",
    "include.champion.rollback",
    "include.tasks.connections",
    "include.training.ingest_data",
    "include.training.validate_data",
    "include.training.transform_data",
    "include.training.train_model",
    "include.training.evaluate_model",
    "include.training.approve_promotion",
    "include.training.promote_model",
    "include.drift.plan_parts",
    "include.drift.collect_predictions",
    "include.drift.detect_drift",
    "include.drift.publish_report",
    "include.drift.measure_outcomes",
    "include.scoring.plan_ranges",
    "include.scoring.score_range",
    "include.scoring.summarise_scores",
    "include.tuning.prepare_study",
    "include.tuning.tune_hyperparameters",
    "include.tuning.publish_best",
)


def _preload() -> None:
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            logger.warning("cannot preload %s: each task will import it", name, exc_info=True)


if sys.platform != "darwin":
    _preload()
