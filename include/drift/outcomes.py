"""What customers did after they were asked about: by labels and exits, but for who was called.

The outcome of a prediction is what the bank knows of the days that follow it, whenever that is
looked up: of `outcome_days` by the labels where a version says who has left, of its own window by
the days of leaving where it says who will leave. Whom an analyst called is no outcome: the model
may have been right, and the call too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.customers import queries, treatment
from include.drift.run import DriftRun
from include.history import cohorts
from include.history.tables import LEFT_ON
from include.predictions.log import customer_key, hashes
from include.target import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEFT, STAYED, UNLABELLED, GONE_BEFORE, CALLED, TOO_LATE, INVOLUNTARY = 1, 0, -1, -2, -3, -4, -5
LATEST = np.iinfo(np.int64).max  # where a label is not dated, or nobody left
DAY = 86_400_000_000  # microseconds


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


@dataclass(frozen=True)
class Exits:
    """On which day each customer left, by ascending hash of the customer's key in the log."""

    hashes: "NDArray[np.uint64]"
    left_on: "NDArray[np.int64]"  # days since 1970; LATEST where nobody left
    known: "NDArray[np.bool_]"  # by a label or an exit; of others only that there was no exit
    voluntary: "NDArray[np.bool_]"
    known_until: int  # the day of the last exit that the bank knows
    calls: tuple[Calls, ...] = ()

    def of(
        self, keys: "NDArray[np.uint64]", asked: "NDArray[np.int64]", *, target: Target
    ) -> "NDArray[np.int8]":
        """What each customer did in the target's window, all of it over; days are counted in UTC.

        Who left later has stayed. Who left in the gap was too late to be called, and who had to
        leave is nobody's to keep: neither of them was learnt from.
        """
        outcomes = np.full(len(keys), UNLABELLED, dtype=np.int8)
        if not len(self.hashes):
            return outcomes
        found, places = _find(self.hashes, keys)
        asked_on = asked // DAY
        known = found & (self.known[places] | (asked_on + target.last_day <= self.known_until))
        left_on = np.where(known, self.left_on[places], LATEST)
        days = left_on - asked_on
        outcomes[known] = STAYED
        outcomes[days <= target.last_day] = LEFT
        outcomes[days <= target.gap_days] = TOO_LATE
        outcomes[(days <= target.last_day) & ~self.voluntary[places]] = INVOLUNTARY
        until = (asked_on + target.last_day + 1) * DAY
        left_at = np.where(days <= target.last_day, (asked_on + days + 1) * DAY, LATEST)
        for calls in self.calls:
            outcomes[calls.shadow(keys, asked, until=until, left_at=left_at)] = CALLED
        outcomes[days <= 0] = GONE_BEFORE
        return outcomes


def read_labels(run: DriftRun, *, since: date) -> Labels:
    """The table's labels, for predictions of that day and later, by the log's customer keys."""
    contract = run.contract
    frame = _read_labelled(run, labelled_only=True)
    target = contract.target
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


def read_exits(run: DriftRun, *, since: date) -> Exits:
    """Who left when, for predictions of that day and later, by the log's customer keys.

    The day is that of `churner_exits`, and of a leaver who is not there that of the label; who left
    on an unknown day is left out. Without a label, who has no exit has stayed as long as the bank
    knows of exits: so it was learnt.
    """
    contract = run.contract
    frame = _read_labelled(run, labelled_only=False).set_index(contract.key.name)
    exits, known_until = _read_exit_days(run)
    moments = treatment.label_moments(frame, contract)
    left, dated = contract.labels(frame).astype(bool), moments.notna().to_numpy()
    labelled = frame[contract.target.name].isin(contract.target.categories).to_numpy()
    by_label = pd.DataFrame(
        {
            "left_on": np.where(left & dated, moments.astype("int64") // DAY, LATEST),
            "known": labelled,
            "voluntary": True,
        },
        index=frame.index,
    )
    others = (dated | ~left) & ~by_label.index.isin(exits.index)
    found = pd.concat([exits, by_label[others]])
    keys = _hashes_of(found.index, run)
    order = np.argsort(keys)
    return Exits(
        hashes=keys[order],
        left_on=found["left_on"].to_numpy(np.int64)[order],
        known=found["known"].to_numpy(bool)[order],
        voluntary=found["voluntary"].to_numpy(bool)[order],
        known_until=known_until,
        calls=tuple(_read_calls(run, since)) if run.campaigns.leaves_out else (),
    )


def _read_exit_days(run: DriftRun) -> tuple[pd.DataFrame, int]:
    """`churner_exits` by customer, and until which day they tell; nobody before any history."""
    engine, names = run.open_engine(), ("left_on", "known", "voluntary")
    if not cohorts.is_there(engine):
        return pd.DataFrame({name: pd.Series(dtype="int64") for name in names}), 0
    exits = cohorts.read_exits(engine, run.contract, now=run.now)
    found, until = exits.by_key, (exits.cutoff - date(1970, 1, 1)).days if len(exits.by_key) else 0
    days = found[LEFT_ON].to_numpy("datetime64[D]").astype(np.int64)
    values = (days, True, ~found["forced"].to_numpy(bool))
    return pd.DataFrame(dict(zip(names, values, strict=True)), index=found.index), until


def _read_labelled(run: DriftRun, *, labelled_only: bool) -> pd.DataFrame:
    """Keys, labels and when they became known."""
    contract = run.contract
    names = (contract.key.name, contract.target.name, contract.labelled_at.name)
    engine = run.open_engine()
    return queries.read_customers(engine, contract, labelled_only=labelled_only, names=names)


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
    return int(days * DAY)
