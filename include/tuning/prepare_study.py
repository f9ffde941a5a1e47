"""Task `prepare_study`: the rows to search on, the study, and each worker's share of the trials."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from include.customers import queries, treatment
from include.customers.labels import CLOCKS_DIFFER, future_labels
from include.errors import DataError
from include.handover import now
from include.training import fit
from include.training.fit import SPLIT
from include.training.record import data_set
from include.training.run import content_sha256
from include.tuning import study as studies
from include.tuning.run import TuningRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """What a mapped worker does: so many trials of the study, begun before the deadline."""

    study: str
    worker: int
    trials: int
    deadline: datetime
    customers: str
    rows: int
    data_sha256: str
    mlflow_run_id: str


def prepare_study(run: TuningRun) -> list[Share]:
    """Read whom a training would be trained on; nobody else is searched on."""
    rules = run.rules
    frame = _training_side(run)
    if len(frame) < run.params.validation.rows_min:
        raise DataError(
            f"{len(frame)} labelled customers of the training side keep the contract, a search "
            f"needs {run.params.validation.rows_min} (validation.rows_min): load more"
        )
    _need_leavers(run, frame)
    digest = content_sha256(frame)
    mlflow_run_id = run.registry.ensure_run(run.dag_run_id, run.tags)
    run.registry.log(
        mlflow_run_id,
        params={"trials": rules.trials, "workers": rules.workers, "folds": rules.folds},
        metrics={"customers": len(frame)},
        tags={"data_sha256": digest},
    )
    study = studies.open_study(run.storage, run.dag_run_id)
    studies.claim(study, run.basis(digest, rows=len(frame)))
    workers = min(rules.workers, rules.trials)
    logger.info(
        "%s trials on %s customers by %s workers, in at most %g minutes",
        *(rules.trials, len(frame), workers, rules.minutes),
    )
    deadline = now() + timedelta(minutes=rules.minutes)
    customers = run.write_frame("prepare_study", "customers.parquet", frame)
    read = data_set(
        run.contract,
        run.contract.chosen(run.params.model.columns),
        context="tuning",
        uri=f"{run.store.uri}/{customers}",
        digest_of=(digest, customers),
        rows=len(frame),
    )
    run.registry.log_inputs(mlflow_run_id, [read])
    return [
        Share(
            study=run.dag_run_id,
            worker=worker,
            trials=rules.trials // workers + (worker < rules.trials % workers),
            deadline=deadline,
            customers=customers,
            rows=len(frame),
            data_sha256=digest,
            mlflow_run_id=mlflow_run_id,
        )
        for worker in range(workers)
    ]


def _need_leavers(run: TuningRun, frame: pd.DataFrame) -> None:
    """DataError unless each fold can be judged, and its training part resampled."""
    leavers = int(run.contract.labels(frame).sum())
    least = max(run.rules.folds, 2 * (fit.NEIGHBOURS + 1))  # of two folds, half is trained on
    if min(leavers, len(frame) - leavers) < least:
        raise DataError(
            f"{leavers} customers of the training side left and {len(frame) - leavers} stayed, a "
            f"search in {run.rules.folds} folds needs {least} of each: load more labelled customers"
        )


def _training_side(run: TuningRun) -> pd.DataFrame:
    frame = queries.read_customers(run.engine, run.contract, labelled_only=True)
    ahead = future_labels(frame, run.contract, now() + CLOCKS_DIFFER)
    frame = frame[run.contract.check_frame(frame, ahead).valid].reset_index(drop=True)
    campaigns = run.params.campaigns
    if campaigns.leaves_out:
        marks = treatment.read_marks(run.engine)
        days = campaigns.outcome_days
        why = treatment.shadows(frame, marks, run.contract, days=days, at=now())
        frame = frame[why == ""].reset_index(drop=True)
    frame = fit.with_split(frame, run.contract, run.params.split)
    return frame[frame[SPLIT] == "training"].reset_index(drop=True)
