"""Imports the heavy libraries into the scheduler before it forks its task workers.

Every task would else import them for itself: 20 seconds of a training run. Airflow imports this
module where it is on the path, and infra/local puts it on the scheduler's alone. Only imports: a
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
    "include.tasks.connections",
    "include.drift.publish_report",
    "include.drift.measure_outcomes",
    "include.scoring.plan_ranges",
    "include.scoring.summarise_scores",
    "include.champion.registry",
    "include.training.release",
    "include.champion.rollback",
    "include.training.stages",
)


def _preload() -> None:
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            logger.warning("cannot preload %s: each task will import it", name, exc_info=True)


if sys.platform != "darwin":
    _preload()
