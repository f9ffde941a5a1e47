"""Task `validate_data`: every row against the contract; rows at fault are set aside."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.contract import LARGEST_INTEGER, Contract, FrameCheck
from include.customers.labels import CLOCKS_DIFFER, future_labels
from include.customers.queries import dated
from include.customers.treatment import TAGS
from include.errors import DataError
from include.history.clock import AS_OF
from include.training import fit
from include.training.fit import SPLIT
from include.training.ingest_data import Ingested
from include.training.run import TrainingRun, content_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

FAULTS = ("validate_data", "faults.parquet")
FAULTS_KEPT = 1_000_000  # wrong values; what is beyond them is counted
CHECKED_ROWS = 2**16  # at once: where every value of them is wrong, their faults take most memory
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
    checked = Checked()
    with (
        run.table("validate_data", "customers.parquet") as customers,
        run.table(*FAULTS) as faults,
        run.table("validate_data", "rejected.parquet") as rejected,
    ):
        for frame, check in _checks(run, ingested):
            kept = check.faults.head(FAULTS_KEPT - min(checked.faults, FAULTS_KEPT))
            positions = kept["position"].to_numpy()
            keys = frame[run.contract.key.name].iloc[positions].astype("str")
            faults.write(
                kept.assign(position=positions + checked.rows, key=keys.set_axis(kept.index))
            )
            rejected.write(frame.iloc[np.unique(positions)].astype(str))
            valid = _as_contracted(frame[check.valid], run.contract)
            customers.write(valid)
            checked.add(check, valid, run.contract)
    _refuse(run, checked)
    run.registry.log(
        ingested.mlflow_run_id,
        metrics={"customers_rejected": checked.rejected_rows},
        tags={"data_sha256": checked.digest.hexdigest()},
    )
    return Validated(
        customers.key, checked.valid_rows, checked.rejected_rows, checked.digest.hexdigest()
    )


@dataclass
class Checked:
    """What is known of the rows that were checked so far."""

    rows: int = 0
    rejected_rows: int = 0
    leavers: int = 0
    faults: int = 0
    broken: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def valid_rows(self) -> int:
        """How many keep the contract."""
        return self.rows - self.rejected_rows

    def add(self, check: FrameCheck, valid: pd.DataFrame, contract: Contract) -> None:
        """Count the next part of the table; its rules by column and what was expected there."""
        places = check.faults.groupby(["column", "expected"], sort=False)["position"]
        for rule, rows, first in places.agg(["size", "min"]).itertuples():
            so_far, begun = self.broken.get(rule, (0, self.rows + first))
            self.broken[rule] = (so_far + rows, begun)
        self.rows += len(check.valid)
        self.rejected_rows += check.rejected_rows
        self.leavers += int(contract.labels(valid).sum())
        self.faults += len(check.faults)
        # What the customers are, not the campaigns that they happened to be in.
        self.digest.update(content_hashes(valid.drop(columns=[*TAGS, SPLIT], errors="ignore")))


def _checks(run: TrainingRun, ingested: Ingested) -> Iterator[tuple[pd.DataFrame, FrameCheck]]:
    """The table part by part, and what is wrong with each; keys are compared over the whole."""
    key, moment = run.contract.key.name, run.contract.labelled_at.name
    # Of history the table's own key sees to it: a customer stands in a month once.
    repeated = () if ingested.months else _repeated(run, ingested.customers)
    latest = datetime.fromisoformat(ingested.snapshot_at) + CLOCKS_DIFFER
    for frame in _parts(run, ingested.customers):
        for name in _whole_numbers(run.contract):
            frame[name] = _whole(frame[name])
        if moment in frame:
            frame[moment] = dated(frame[moment])
        also = [
            *future_labels(frame, run.contract, latest),
            *run.contract.repeated_keys(frame[key], repeated),
        ]
        yield frame, run.contract.check_frame(frame, also)


def _parts(run: TrainingRun, customers: str) -> Iterator[pd.DataFrame]:
    """The table part by part, no customer twice in one: of history, no part has two months."""
    for frame in run.read_batches(customers, rows=CHECKED_ROWS):
        if AS_OF not in frame:
            yield frame
            continue
        for _, month in frame.groupby(AS_OF, sort=False):
            yield month.reset_index(drop=True)


def _repeated(run: TrainingRun, customers: str) -> "NDArray[Any]":
    """The keys that more than one row has."""
    key = run.contract.key.name
    parts = [part[key].to_numpy() for part in run.read_batches(customers, columns=[key])]
    keys = np.sort(np.concatenate(parts))
    return np.unique(keys[1:][keys[1:] == keys[:-1]])


def _as_contracted(valid: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Valid rows in the contract's types, whatever the table's are: what the data's hash is of."""
    moment = contract.labelled_at.name
    types = dict.fromkeys(_whole_numbers(contract), np.int64)
    found = valid.reset_index(drop=True).astype(types)
    return found.assign(**{moment: dated(found[moment])}) if moment in found else found


def _whole_numbers(contract: Contract) -> list[str]:
    """The columns that hold an integer in every valid row, and none too large to be one."""
    return [
        column.name
        for column in contract.columns
        if column.type == "integer" and column.required
        if max(abs(column.low), column.high) <= LARGEST_INTEGER
    ]


def _whole(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """A part's numbers as integers where they are; they are told and hashed as such."""
    if values.dtype.kind not in "iuf":  # text, which the contract names
        return values
    whole = (values % 1 == 0) & (values.abs() <= LARGEST_INTEGER)
    return values.astype(np.int64) if whole.all() else values


def _refuse(run: TrainingRun, checked: Checked) -> None:
    """Fail where the table as a whole cannot be trained on."""
    share, allowed = checked.rejected_rows / checked.rows, run.params.validation.rejected_share_max
    named = _broken_rules(checked)
    which = f"the first {FAULTS_KEPT} of" if checked.faults > FAULTS_KEPT else "all"
    listed = f"customers, values and {which} {checked.faults} faults are in {run.key(*FAULTS)}"
    if share > allowed:
        raise DataError(
            f"{checked.rejected_rows} of {checked.rows} customers ({share:.1%}) break the "
            f"contract, allowed are {allowed:.1%}: {named}; {listed}"
        )
    if checked.rejected_rows:
        logger.warning("set aside %s customers: %s; %s", checked.rejected_rows, named, listed)
    valid, least = checked.valid_rows, run.params.validation.rows_min
    if valid < least:
        raise DataError(
            f"{valid} labelled customers keep the contract, training needs {least} "
            "(validation.rows_min): load more"
        )
    fit.need_both_classes("table", rows=valid, leavers=checked.leavers)


def _broken_rules(checked: Checked) -> str:
    """Which rule how many rows break, the most broken first: a log says neither whose nor what."""
    rules = sorted(checked.broken.items(), key=lambda rule: -rule[1][0])
    told = [
        f"{column} expected {expected}: {rows} rows, the first is row {first + 1}"
        for (column, expected), (rows, first) in rules[:NAMED_RULES]
    ]
    more = len(rules) - len(told)
    return "; ".join([*told, *([f"and {more} more rules"] if more else [])])
