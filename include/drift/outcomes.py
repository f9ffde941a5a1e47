"""What customers did after they were asked about: by the table's labels, but for who was called.

The outcome of a prediction is what the table says of the `outcome_days` that follow it, whenever
that is looked up. Whom an analyst called is no outcome: the model may have been right, and the call
too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from include.customers import queries, treatment
from include.drift.run import DriftRun
from include.predictions.log import customer_key, hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEFT, STAYED, UNLABELLED, GONE_BEFORE, CALLED = 1, 0, -1, -2, -3
LATEST = np.iinfo(np.int64).max  # where a label is not dated, or nobody left


@dataclass(frozen=True)
class Calls:
    """Windows in which a call may have changed what customers do; of each customer one at most."""

    hashes: "NDArray[np.uint64]"  # ascending
    begin: "NDArray[np.int64]"  # microseconds since 1970
    length: int

    def shadow(
        self,
        keys: "NDArray[np.uint64]",
        asked: "NDArray[np.int64]",
        *,
        until: "NDArray[np.int64]",
        left_at: "NDArray[np.int64]",
    ) -> "NDArray[np.bool_]":
        """In whose days, from `asked` to `until`, a call had a part: not if they left before it."""
        found, places = _find(self.hashes, keys)
        begin = self.begin[places]
        within = (asked <= begin + self.length) & (until > begin) & (left_at >= begin)
        return np.asarray(found & within)


@dataclass(frozen=True)
class Labels:
    """What the customer table knows, by ascending hash of the customer's key in the log."""

    hashes: "NDArray[np.uint64]"
    left: "NDArray[np.bool_]"
    known: "NDArray[np.bool_]"
    labelled_at: "NDArray[np.int64]"  # microseconds since 1970; LATEST where not dated
    calls: tuple[Calls, ...] = ()

    def of(
        self, keys: "NDArray[np.uint64]", asked: "NDArray[np.int64]", *, days: float
    ) -> "NDArray[np.int8]":
        """What each customer did within so many days of being asked about, all of them over.

        Who left later has stayed. A leaver's label without a date counts as one from these days.
        """
        outcomes = np.full(len(keys), UNLABELLED, dtype=np.int8)
        if not len(self.hashes):
            return outcomes
        found, places = _find(self.hashes, keys)
        known, labelled_at = self.known[places] & found, self.labelled_at[places]
        until = asked + _micros_of_days(days)
        gone = known & self.left[places] & (labelled_at <= asked)
        in_time = (labelled_at <= until) | (labelled_at == LATEST)
        left = known & self.left[places] & ~gone & in_time
        outcomes[known] = STAYED
        outcomes[left] = LEFT
        left_at = np.where(left, np.minimum(labelled_at, until), LATEST)
        for calls in self.calls:
            outcomes[calls.shadow(keys, asked, until=until, left_at=left_at)] = CALLED
        outcomes[gone] = GONE_BEFORE
        return outcomes


def read_labels(run: DriftRun, *, since: date) -> Labels:
    """The table's labels, for predictions of that day and later, by the log's customer keys."""
    contract = run.contract
    target, moment = contract.target, contract.labelled_at.name
    names = (contract.key.name, target.name, moment)
    frame = queries.read_customers(run.open_engine(), contract, labelled_only=True, names=names)
    keys = _hashes_of(frame[contract.key.name], run)
    order = np.argsort(keys)
    moments = treatment.label_moments(frame, contract)
    return Labels(
        hashes=keys[order],
        left=contract.labels(frame).astype(bool)[order],
        known=frame[target.name].isin(target.categories).to_numpy()[order],
        labelled_at=np.where(moments.isna(), LATEST, moments.astype("int64"))[order],
        calls=tuple(_read_calls(run, since)) if run.campaigns.leaves_out else (),
    )


def _read_calls(run: DriftRun, since: date) -> Iterator[Calls]:
    """The windows that reach into these days: every customer's first, second, …"""
    marks = treatment.read_marks(run.open_engine())
    begins = datetime.combine(since, time(), UTC) - timedelta(days=run.campaigns.outcome_days)
    calls = marks[marks["kind"].isin(treatment.TREATED) & (marks["marked_at"] >= begins)]
    for _, each in calls.groupby(calls.groupby("customer").cumcount()):
        keys = _hashes_of(each["customer"], run)
        order, begin = np.argsort(keys), each["marked_at"].to_numpy(np.int64)
        yield Calls(keys[order], begin[order], _micros_of_days(run.campaigns.outcome_days))


def _hashes_of(customers: Any, run: DriftRun) -> "NDArray[np.uint64]":
    """Customers under the keys by which the log knows them."""
    import pyarrow as pa

    id_key = run.id_key()
    texts = pa.array([customer_key(each, id_key) for each in customers], pa.string())
    return hashes(texts, np.zeros(len(texts), dtype=np.uint64))


def _find(
    ascending: "NDArray[np.uint64]", keys: "NDArray[np.uint64]"
) -> "tuple[NDArray[np.bool_], NDArray[np.intp]]":
    """Which keys are there, and each one's place."""
    places = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    return ascending[places] == keys, places


def _micros_of_days(days: float) -> int:
    return int(days * 86_400e6)
