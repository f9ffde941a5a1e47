"""Task `ingest_data`: the customers that a run learns from, read once, and its place in MLflow."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

import pandas as pd

from include.customers import labels, queries, treatment
from include.customers.ranges import labelled_customers
from include.customers.table import TABLE
from include.errors import DataError
from include.handover import BATCH_ROWS, now
from include.history import choice, clock, cohorts
from include.history.changes import with_changes
from include.history.choice import Choice
from include.history.clock import AS_OF, LeftOut, Months
from include.target import STATE, Target
from include.training import tuned_set
from include.training.fit import SPLIT
from include.training.run import TrainingRun

logger = logging.getLogger(__name__)

READ, KEPT = "read", "kept"  # customers, in this task's counts
CALLS = (treatment.OPEN, treatment.WITHIN, treatment.CALLED)  # why a call leaves a row out


@dataclass(frozen=True)
class Ingested:
    """What `ingest_data` hands on; a row is a customer, of a horizon's a customer in a month."""

    customers: str
    rows: int
    unlabelled_rows: int
    snapshot_at: str
    mlflow_run_id: str
    called: "Called"
    target: Target = STATE
    target_reason: str = ""
    months: Months | None = None
    left_out: LeftOut = LeftOut()
    assumed_rows: int = 0  # of a history that does not say when it was loaded
    doubts: tuple[str, ...] = ()  # of the history, for a person


@dataclass(frozen=True)
class Called:
    """How many of the labelled customers a campaign or a call had a hand in."""

    left_out: int  # listed or called: their window is open, or their label is from within
    listed: int  # on some campaign's list, and used: the label is from before or after
    control: int  # kept aside from their last campaign, and used


@dataclass
class Tally:
    """What was read so far."""

    rows: Counter[str] = field(default_factory=Counter)  # READ, KEPT, by side of a campaign, by why
    assumed_rows: int = 0
    held: Counter[date] = field(default_factory=Counter)  # hold-out customers by month


def ingest_data(run: TrainingRun) -> Ingested:
    """Choose what is predicted, read whom that is learned from, and open the MLflow run."""
    snapshot_at = now()
    chosen = choice.choose(run.engine, run.contract, run.params, now=snapshot_at)
    run, hyperparameters_from = tuned_set.settle(run, chosen.target)
    labels.stamp_labels(run.engine, snapshot_at)
    customers, tally = _write_customers(run, chosen, snapshot_at)
    counts = tally.rows
    total, labelled = queries.table_counts(run.engine)
    if not counts[READ]:
        raise DataError(
            f"the table {TABLE} has {total} customers and none with a label: load customers whose "
            f"{run.contract.target.name} is known; nothing is trained on an empty table"
        )
    called, left_out = _called(counts, chosen.target), _left_out(run, counts)
    ingested = Ingested(
        customers=customers,
        rows=counts[KEPT],
        unlabelled_rows=total - labelled,
        snapshot_at=snapshot_at.isoformat(),
        mlflow_run_id=run.registry.ensure_run(run.dag_run_id, run.tags),
        called=called,
        target=chosen.target,
        target_reason=chosen.reason,
        months=chosen.months,
        left_out=left_out,
        assumed_rows=tally.assumed_rows,
        doubts=clock.thin_months(tally.held),
    )
    _log(run, ingested, hyperparameters_from)
    logger.info("says who %s (%s): read %s rows", chosen.target, chosen.reason, counts[READ])
    for doubt in ingested.doubts:
        logger.warning("%s", doubt)
    return ingested


def _log(run: TrainingRun, ingested: Ingested, hyperparameters_from: str) -> None:
    """What MLflow keeps of the run's beginning."""
    model, left_out = run.params.model, {}
    if ingested.months:
        left_out = {f"rows_{name}": float(count) for name, count in vars(ingested.left_out).items()}
    run.registry.log(
        ingested.mlflow_run_id,
        params={
            "family": model.family,
            "threshold": model.threshold,
            "seed": model.seed,
            "listed_customers": run.params.campaigns.listed_customers,
            **{f"split_{k}": v for k, v in run.params.split.model_dump().items()},
            **model.hyperparameters,
        },
        metrics={
            "customers_labelled": ingested.rows,
            "customers_unlabelled": ingested.unlabelled_rows,
            **{f"customers_called_{name}": count for name, count in vars(ingested.called).items()},
            **left_out,
        },
        # Tags, because a run that is cleared when there is more history may predict otherwise.
        tags={
            "hyperparameters_from": hyperparameters_from,
            "columns": str(len(run.columns)),
            "target": str(ingested.target),
            "target_reason": ingested.target_reason,
        },
    )


def _write_customers(run: TrainingRun, chosen: Choice, at: datetime) -> tuple[str, Tally]:
    """Keep the rows with their campaigns, and apart those that are left out, each with why.

    Returns the former's key, and how many there were of what.
    """
    tally = Tally()
    found = _history(run, chosen, tally) if chosen.months else _labelled(run, at)
    with (
        run.table("ingest_data", "customers.parquet") as customers,
        run.table("ingest_data", "left_out.parquet") as left_out,
    ):
        for frame, why in found:
            kept = frame[why == ""]
            customers.write(kept)
            left_out.write(frame.assign(why=why)[why != ""])
            tally.rows.update({READ: len(frame), KEPT: len(kept)})
            tally.rows.update(why[why != ""].tolist())
            tally.rows.update(kept[treatment.SIDE].dropna().tolist())
    return customers.key, tally


def _labelled(run: TrainingRun, at: datetime) -> "Iterator[tuple[pd.DataFrame, pd.Series[str]]]":
    """The labelled customers of today, and why one is left out; empty where he is not."""
    rules, marks = run.params.campaigns, treatment.read_marks(run.engine)
    for page in labelled_customers(run.engine, run.contract, rows=BATCH_ROWS):
        frame = treatment.with_tags(page, marks, run.contract)
        why = pd.Series("", index=frame.index, dtype="str")
        if rules.leaves_out:
            days = rules.outcome_days
            why = treatment.shadows(frame, marks, run.contract, days=days, at=at)
        yield frame, why


def _history(
    run: TrainingRun, chosen: Choice, tally: Tally
) -> "Iterator[tuple[pd.DataFrame, pd.Series[str]]]":
    """The closed months' customers, and why a row is left out; empty where it is not."""
    assert chosen.months and chosen.exits
    rules, marks = run.params.campaigns, treatment.read_marks(run.engine)
    for page in cohorts.pages(
        run.engine,
        run.contract.of_records,
        chosen.months,
        chosen.exits,
        split=run.params.split,
        rules=run.params.history,
        rows=BATCH_ROWS,
    ):
        tally.assumed_rows += page.assumed_rows
        tally.held[page.as_of] += int(page.sides.isin(["holdout", clock.OLDER]).sum())
        ends = chosen.target.window_ends(page.as_of)
        begun = marks[marks["marked_at"] < pd.Timestamp(ends, tz="UTC") + treatment.DAY]
        customers = with_changes(
            run.engine,
            page.customers,
            run.contract,
            as_of=page.as_of,
            snapshots=chosen.exits.days,
            rules=run.params.history,
        )
        frame = treatment.with_tags(customers, begun, run.contract)
        frame[AS_OF], frame[SPLIT] = page.as_of, page.sides
        why = page.verdicts.replace({clock.LEAVES: "", clock.STAYS: ""})
        if rules.leaves_out:
            days, last = rules.outcome_days, chosen.target.last_day
            within = frame[clock.LEFT_AFTER].fillna(last).clip(upper=last)
            called = treatment.called_between(
                frame, marks, run.contract, days=days, after=page.as_of, within=within
            )
            why = why.mask(called & (why == ""), treatment.CALLED)
        yield frame, why


def counted(target: Target) -> str:
    """What the counts of a run are of; of a horizon a row is a customer in a month."""
    return "rows" if target.is_early_warning else "customers"


def _called(counts: Counter[str], target: Target) -> Called:
    left_out = sum(counts[why] for why in CALLS)
    if not counts[KEPT] and target.is_early_warning:
        raise DataError(
            f"all {counts[READ]} rows of history are left out, {left_out} of them of customers who "
            "were listed or called: expected rows that count, so load more months, or set "
            "campaigns.listed_customers to used in params.yaml"
        )
    if not counts[KEPT]:
        raise DataError(
            f"all {left_out} labelled customers were listed or called, and nobody knows yet "
            "who of them leaves unasked: load customers who were not, or set "
            "campaigns.listed_customers to used in params.yaml"
        )
    if left_out:
        of = "rows of customers" if target.is_early_warning else counted(target)
        logger.info("left out %s %s who were listed or called", left_out, of)
    return Called(left_out, *(counts[side] for side in treatment.SIDES))


def _left_out(run: TrainingRun, counts: Counter[str]) -> LeftOut:
    """What the clock leaves out; DataError where too many rows are of customers who had left."""
    found = LeftOut(
        too_late=counts[clock.TOO_LATE],
        involuntary=counts[clock.INVOLUNTARY],
        after_exit=counts[clock.AFTER_EXIT],
        loaded_late=counts[clock.LOADED_LATE],
    )
    share, allowed = found.after_exit / counts[READ], run.params.validation.rejected_share_max
    if share > allowed:
        raise DataError(
            f"{found.after_exit} of {counts[READ]} rows of history ({share:.1%}) are of customers "
            f"who had left before, allowed are {allowed:.1%}: a snapshot holds who is active on "
            "its day, and churner_exits the day of leaving; see which of the two is wrong in "
            f"{run.key('ingest_data', 'left_out.parquet')}"
        )
    return found
