"""Task `ingest_data`: the labelled customers, read once, and the run's place in MLflow."""

import logging
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from include.customers import labels, queries, treatment
from include.errors import DataError
from include.handover import now
from include.training import tuned_set
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
    called: "Called"


@dataclass(frozen=True)
class Called:
    """How many of the labelled customers a campaign or a call had a hand in."""

    left_out: int  # listed or called: their window is open, or their label is from within
    listed: int  # on some campaign's list, and used: the label is from before or after
    control: int  # kept aside from their last campaign, and used


def ingest_data(run: TrainingRun) -> Ingested:
    """Read the labelled customers and open the MLflow run."""
    run, chosen_from = tuned_set.settle(run)
    snapshot_at = now()
    labels.stamp_labels(run.engine, snapshot_at)
    frame = queries.read_customers(run.engine, run.contract, labelled_only=True)
    total, labelled = queries.table_counts(run.engine)
    if not labelled:
        raise DataError(
            f"the table churners has {total} customers and none with a label: load customers whose "
            f"{run.contract.target.name} is known; nothing is trained on an empty table"
        )
    frame, called = _without_called(run, frame, snapshot_at)
    mlflow_run_id = run.registry.ensure_run(run.dag_run_id, run.tags)
    run.registry.log(
        mlflow_run_id,
        params={
            "family": run.params.model.family,
            "columns": len(run.contract.chosen(run.params.model.columns)),
            "threshold": run.params.model.threshold,
            "seed": run.params.model.seed,
            "listed_customers": run.params.campaigns.listed_customers,
            **{f"split_{k}": v for k, v in run.params.split.model_dump().items()},
            **run.params.model.hyperparameters,
        },
        metrics={
            "customers_labelled": len(frame),
            "customers_unlabelled": total - labelled,
            **{f"customers_called_{name}": count for name, count in vars(called).items()},
        },
        tags={"hyperparameters_from": chosen_from},
    )
    key = run.write_frame("ingest_data", "customers.parquet", frame)
    logger.info("read %s labelled customers of %s", len(frame), total)
    moment = snapshot_at.isoformat()
    return Ingested(key, len(frame), total - labelled, moment, mlflow_run_id, called)


def _without_called(
    run: TrainingRun, frame: pd.DataFrame, at: datetime
) -> tuple[pd.DataFrame, Called]:
    """The customers with their campaigns, without those whose label a call may have brought."""
    rules, marks = run.params.campaigns, treatment.read_marks(run.engine)
    frame = treatment.with_tags(frame, marks, run.contract)
    if not rules.leaves_out:
        return frame, _count(frame, left_out=0)
    why = treatment.shadows(frame, marks, run.contract, days=rules.outcome_days, at=at)
    run.write_frame("ingest_data", "left_out.parquet", frame.assign(why=why)[why != ""])
    kept = frame[why == ""].reset_index(drop=True)
    if kept.empty:
        raise DataError(
            f"all {len(frame)} labelled customers were listed or called, and nobody knows yet who "
            "of them leaves unasked: load customers who were not, or set "
            "campaigns.listed_customers to used in params.yaml"
        )
    if len(kept) < len(frame):
        logger.info("left out %s customers who were listed or called", len(frame) - len(kept))
    return kept, _count(kept, left_out=len(frame) - len(kept))


def _count(frame: pd.DataFrame, *, left_out: int) -> Called:
    sides = frame[treatment.SIDE].value_counts()
    return Called(left_out, *(int(sides.get(side, 0)) for side in treatment.SIDES))
