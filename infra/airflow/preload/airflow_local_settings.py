"""Imports the heavy libraries into the scheduler before it forks its task workers.

Every task would else import them for itself: 20 seconds of a training run. Airflow imports this
module where it is on the path, and it is put on the scheduler's alone. Only imports: a
library that has started threads does not survive a fork.
"""

import importlib
import logging
from collections.abc import Iterator
from pkgutil import iter_modules

logger = logging.getLogger(__name__)

__all__: list[str] = []

LIBRARIES = (  # which tasks import where they need them
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
)
# Rooms of tasks that somebody waits for, every module of them.
ROOMS = ("champion", "training", "drift", "scoring", "tuning")


def _names() -> Iterator[str]:
    yield from LIBRARIES
    yield "include.tasks.connections"
    for room in ROOMS:
        package = importlib.import_module(f"include.{room}")
        yield from (each.name for each in iter_modules(package.__path__, f"{package.__name__}."))


for _name in _names():
    try:
        importlib.import_module(_name)
    except ImportError:
        logger.warning("cannot preload %s: each task will import it", _name, exc_info=True)
