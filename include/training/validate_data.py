"""Task `validate_data`: every row against the contract; rows at fault are set aside."""

import logging
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from include.contract import FrameCheck
from include.customers.labels import CLOCKS_DIFFER, future_labels
from include.customers.treatment import TAGS
from include.errors import DataError
from include.training import fit
from include.training.ingest_data import Ingested
from include.training.run import TrainingRun, content_sha256

logger = logging.getLogger(__name__)

FAULTS = ("validate_data", "faults.parquet")
NAMED_RULES = 20  # how many broken ones a message spells out; faults.parquet has each value


@dataclass(frozen=True)
class Validated:
    """What `validate_data` hands on."""

    customers: str
    rows: int
    rejected_rows: int
    data_sha256: str


def validate_data(run: TrainingRun, ingested: Ingested) -> Validated:
    """Check every row against the contract; rows at fault are set aside, too many fail the run."""
    frame = run.read_frame(ingested.customers)
    missing = run.contract.missing_columns(frame.columns)
    if missing:
        raise DataError(
            f"the table churners lacks the columns {', '.join(missing)}: add them, or change "
            "schema.yaml if the bank no longer has them"
        )
    latest = datetime.fromisoformat(ingested.snapshot_at) + CLOCKS_DIFFER
    check = run.contract.check_frame(frame, future_labels(frame, run.contract, latest))
    faults = check.faults.assign(
        key=frame[run.contract.key.name].iloc[check.faults["position"]].astype(str).to_numpy()
    )
    run.write_frame(*FAULTS, faults)
    run.write_frame("validate_data", "rejected.parquet", frame[~check.valid].astype(str))
    _refuse(run, frame, check, faults)
    valid = frame[check.valid].reset_index(drop=True)
    # What the customers are, not the campaigns that they happened to be in.
    digest = content_sha256(valid.drop(columns=[*TAGS]))
    run.registry.log(
        ingested.mlflow_run_id,
        metrics={"customers_rejected": check.rejected_rows},
        tags={"data_sha256": digest},
    )
    key = run.write_frame("validate_data", "customers.parquet", valid)
    return Validated(key, len(valid), check.rejected_rows, digest)


def _refuse(run: TrainingRun, frame: pd.DataFrame, check: FrameCheck, faults: pd.DataFrame) -> None:
    """Fail where the table as a whole cannot be trained on."""
    share, allowed = check.rejected_rows / len(frame), run.params.validation.rejected_share_max
    named = _broken_rules(check)
    listed = f"customers, values and all {len(faults)} faults are in {run.key(*FAULTS)}"
    if share > allowed:
        raise DataError(
            f"{check.rejected_rows} of {len(frame)} customers ({share:.1%}) break the contract, "
            f"allowed are {allowed:.1%}: {named}; {listed}"
        )
    if check.rejected_rows:
        logger.warning("set aside %s customers: %s; %s", check.rejected_rows, named, listed)
    valid, least = len(frame) - check.rejected_rows, run.params.validation.rows_min
    if valid < least:
        raise DataError(
            f"{valid} labelled customers keep the contract, training needs {least} "
            "(validation.rows_min): load more"
        )
    leavers = int(run.contract.labels(frame[check.valid]).sum())
    fit.need_both_classes("table", rows=valid, leavers=leavers)


def _broken_rules(check: FrameCheck) -> str:
    """Which rule how many rows break, the most broken first: a log says neither whose nor what."""
    rules = check.faults.groupby(["column", "expected"], sort=False)["position"].agg(
        ["size", "min"]
    )
    rules = rules.sort_values("size", ascending=False, kind="stable")
    told = [
        f"{column} expected {expected}: {rows} rows, the first is row {first + 1}"
        for (column, expected), rows, first in rules.head(NAMED_RULES).itertuples()
    ]
    more = len(rules) - len(told)
    return "; ".join([*told, *([f"and {more} more rules"] if more else [])])
