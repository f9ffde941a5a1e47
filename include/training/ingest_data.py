"""Task `ingest_data`: the labelled customers, read once, and the run's place in MLflow."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from include.customers import labels, queries, treatment
from include.customers.ranges import labelled_customers
from include.customers.table import TABLE
from include.errors import DataError
from include.handover import BATCH_ROWS, now
from include.training import tuned_set
from include.training.run import TrainingRun

logger = logging.getLogger(__name__)

READ, KEPT = "read", "kept"  # customers, in this task's counts


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
    customers, counts = _write_customers(run, snapshot_at)
    total, labelled = queries.table_counts(run.engine)
    if not counts[READ]:
        raise DataError(
            f"the table {TABLE} has {total} customers and none with a label: load customers whose "
            f"{run.contract.target.name} is known; nothing is trained on an empty table"
        )
    called = _called(counts)
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
            "customers_labelled": counts[KEPT],
            "customers_unlabelled": total - labelled,
            **{f"customers_called_{name}": count for name, count in vars(called).items()},
        },
        tags={"hyperparameters_from": chosen_from},
    )
    logger.info("read %s labelled customers of %s", counts[READ], total)
    return Ingested(
        customers=customers,
        rows=counts[KEPT],
        unlabelled_rows=total - labelled,
        snapshot_at=snapshot_at.isoformat(),
        mlflow_run_id=mlflow_run_id,
        called=called,
    )


def _write_customers(run: TrainingRun, at: datetime) -> tuple[str, Counter[str]]:
    """Keep the customers with their campaigns, and apart those whose label a call may have brought.

    Returns the former's key, and how many were read and kept, and kept on each side of a campaign.
    """
    rules, marks = run.params.campaigns, treatment.read_marks(run.engine)
    counts = Counter[str]()
    with (
        run.table("ingest_data", "customers.parquet") as customers,
        run.table("ingest_data", "left_out.parquet") as left_out,
    ):
        for page in labelled_customers(run.engine, run.contract, rows=BATCH_ROWS):
            frame = treatment.with_tags(page, marks, run.contract)
            why = pd.Series("", index=frame.index, dtype="str")
            if rules.leaves_out:
                days = rules.outcome_days
                why = treatment.shadows(frame, marks, run.contract, days=days, at=at)
            kept = frame[why == ""]
            customers.write(kept)
            left_out.write(frame.assign(why=why)[why != ""])
            counts.update({READ: len(frame), KEPT: len(kept)})
            counts.update(kept[treatment.SIDE].dropna().tolist())
    return customers.key, counts


def _called(counts: Counter[str]) -> Called:
    if not counts[KEPT]:
        raise DataError(
            f"all {counts[READ]} labelled customers were listed or called, and nobody knows yet "
            "who of them leaves unasked: load customers who were not, or set "
            "campaigns.listed_customers to used in params.yaml"
        )
    left_out = counts[READ] - counts[KEPT]
    if left_out:
        logger.info("left out %s customers who were listed or called", left_out)
    return Called(left_out, *(counts[side] for side in treatment.SIDES))
