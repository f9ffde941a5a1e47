"""Task `ingest_data`: the labelled customers, read once, and the run's place in MLflow."""

import logging
from dataclasses import dataclass

from include.customers import labels, queries
from include.errors import DataError
from include.handover import now
from include.training.run import TrainingRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ingested:
    """What `ingest_data` hands on."""

    customers: str
    rows: int
    unlabelled_rows: int
    snapshot_at: str
    mlflow_run_id: str


def ingest_data(run: TrainingRun) -> Ingested:
    """Read the labelled customers and open the MLflow run."""
    snapshot_at = now()
    labels.stamp_labels(run.engine, snapshot_at)
    frame = queries.read_customers(run.engine, run.contract, labelled_only=True)
    total, labelled = queries.table_counts(run.engine)
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
