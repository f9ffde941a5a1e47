"""Realised performance: what was predicted of customers, and what they did.

A customer who left is an outcome as soon as the label is known, one who stayed only `outcome_days`
after the prediction. Until then there is an estimate: with calibrated probabilities, the score that
the model would have if each customer left with just the probability it gave. Whom an analyst called
is no outcome: the model may have been right, and the call too.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import AwareDatetime, Field

from include.customers import queries, treatment
from include.documents import Document
from include.drift import findings
from include.drift.run import DriftRun
from include.drift.statistics import SCORE
from include.drift.traffic import CUSTOMER_KEY, KEYS, SCORE_COLUMN, numbers, rows_by_version, salted
from include.predictions import log as prediction_log
from include.predictions.log import SeenHashes, customer_key, hashes

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

LEFT, STAYED, PENDING, GONE_BEFORE, CALLED = 1, 0, -1, -2, -3
MOMENT = "predicted_at"
LATEST = np.iinfo(np.int64).max


class Scores(Document):
    """How good a version's answers were, or are expected to be."""

    estimated: bool = Field(description="from the probabilities alone, without any outcome")
    rows: int
    roc_auc: float | None = Field(description="null where all customers did the same")
    brier: float
    calibration_error: float | None = Field(description="null for an estimate, which assumes 0")
    attrited_share: float
    mean_probability: float


class VersionWeek(Document):
    """One version's predictions of one ISO week: of each known customer the first."""

    version: str
    week: str = Field(description="such as 2026-W19, of the prediction")
    customers: int
    left: int
    stayed: int
    pending: int = Field(description="no label yet, or outcome_days not over")
    complete: bool = Field(description="nobody is pending; before, those who left come first")
    realised: Scores | None
    estimate: Scores


class Outcomes(Document):
    """All of `outcomes.json`."""

    as_of: AwareDatetime
    outcome_days: float
    rows_without_customer: int = Field(description="predictions that no label can be joined to")
    rows_of_called_customers: int = Field(default=0, description="whose outcome a call changed")
    unreadable_objects: tuple[str, ...]
    weeks: tuple[VersionWeek, ...]


@dataclass(frozen=True)
class Measured:
    """What `measure_outcomes` hands on."""

    outcomes: str
    weeks: int
    outcomes_known: int


@dataclass(frozen=True)
class Calls:
    """Windows in which a call may have changed what customers do; of each customer one at most."""

    hashes: "NDArray[np.uint64]"  # ascending
    begin: "NDArray[np.int64]"  # microseconds since 1970
    length: int

    def shadow(
        self,
        keys: "NDArray[np.uint64]",
        ask: "NDArray[np.int64]",
        *,
        now: int,
        ripe_after: int,
        left_at: "NDArray[np.int64]",
    ) -> "NDArray[np.bool_]":
        """Which predictions have no outcome of their own; `left_at` is the largest for no leaver.

        All of a customer while his window is open. Then those whose days to come the window has a
        part in, unless he left before it, and those that a label from within it would decide.
        """
        found, places = _find(self.hashes, keys)
        begin, end = self.begin[places], self.begin[places] + self.length
        touched = (ask <= end) & (ask + ripe_after > begin) & (left_at >= begin)
        within = (left_at >= begin) & (left_at <= end)
        return found & ((end >= now) | touched | within)


@dataclass(frozen=True)
class Labels:
    """What the customer table knows, by ascending hash of the customer's key in the log."""

    hashes: "NDArray[np.uint64]"
    left: "NDArray[np.bool_]"
    known: "NDArray[np.bool_]"
    labelled_at: "NDArray[np.int64]"  # microseconds since 1970; the largest where not dated
    calls: tuple[Calls, ...] = ()

    def of(
        self, keys: "NDArray[np.uint64]", moments: "NDArray[np.int64]", *, now: int, ripe_after: int
    ) -> "NDArray[np.int8]":
        """Each prediction's outcome; who has not left by `ripe_after` microseconds has stayed.

        Who had left before he was asked about is no outcome of that prediction.
        """
        outcomes = np.full(len(keys), PENDING, dtype=np.int8)
        if not len(self.hashes):
            return outcomes
        found, places = _find(self.hashes, keys)
        known = self.known[places] & found
        left, labelled_at = known & self.left[places], self.labelled_at[places]
        outcomes[known & ~left & (moments + ripe_after <= now)] = STAYED
        outcomes[left] = np.where(labelled_at > moments, LEFT, GONE_BEFORE)[left]
        left_at = np.where(left, np.minimum(labelled_at, now), LATEST)
        for calls in self.calls:
            shadowed = calls.shadow(keys, moments, now=now, ripe_after=ripe_after, left_at=left_at)
            outcomes[shadowed & (outcomes != GONE_BEFORE)] = CALLED
        return outcomes


def measure_outcomes(run: DriftRun) -> Measured:
    """Join the last weeks' predictions with the table's labels, and write outcomes.json."""
    days = [run.day - timedelta(days=back) for back in range(7 * run.rules.outcome_weeks)][::-1]
    joined = _Join(run)
    weeks = [
        version_week
        for week, of_week in itertools.groupby(days, key=_iso_week)
        for version_week in joined.week(week, list(of_week))
    ]
    found = Outcomes(
        as_of=run.now,
        outcome_days=run.rules.outcome_days,
        rows_without_customer=joined.rows_without_customer,
        rows_of_called_customers=joined.rows_of_called_customers,
        unreadable_objects=tuple(joined.unreadable),
        weeks=tuple(weeks),
    )
    key = findings.day_key(run.day, findings.OUTCOMES_FILE)
    run.store.write(key, found.to_bytes())
    known = sum(week.left + week.stayed for week in weeks)
    logger.info("%s outcomes known in %s weeks of versions", known, len(weeks))
    return Measured(key, len(weeks), known)


def read_labels(run: DriftRun) -> Labels:
    """The table's labels, under the keys by which the log knows its customers."""
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
        calls=tuple(_read_calls(run)) if run.campaigns.leaves_out else (),
    )


def _read_calls(run: DriftRun) -> Iterator[Calls]:
    """The windows since the first day that is measured: every customer's first, second, …"""
    marks = treatment.read_marks(run.open_engine())
    reach = timedelta(days=7 * run.rules.outcome_weeks + run.campaigns.outcome_days)
    since = datetime.combine(run.day, time(), UTC) - reach
    calls = marks[marks["kind"].isin(treatment.TREATED) & (marks["marked_at"] >= since)]
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


def scores(
    answers: "NDArray[np.float64]", chances: "NDArray[np.float64]", *, estimated: bool
) -> Scores:
    """The scores of answers where each customer leaves with a chance: an outcome is 0 or 1.

    With the answers themselves as chances they are those to expect if the probabilities are right.
    """
    from include.training.evaluation import calibration_error

    return Scores(
        estimated=estimated,
        rows=len(answers),
        roc_auc=_roc_auc(answers, chances) if 0 < chances.sum() < len(chances) else None,
        brier=float(np.mean(chances * (1 - answers) ** 2 + (1 - chances) * answers**2)),
        calibration_error=None
        if estimated
        else calibration_error(chances.astype(np.int64), answers),
        attrited_share=float(chances.mean()),
        mean_probability=float(answers.mean()),
    )


def _roc_auc(answers: "NDArray[np.float64]", chances: "NDArray[np.float64]") -> float:
    """The chance that who leaves was ranked above who stays, each row weighted by its chances."""
    values, place = np.unique(answers, return_inverse=True)
    leaves = np.bincount(place, weights=chances, minlength=len(values))
    stays = np.bincount(place, weights=1 - chances, minlength=len(values))
    below = np.cumsum(stays) - stays / 2
    return float((leaves * below).sum() / (leaves.sum() * stays.sum()))


class _Join:
    """One pass over the log, a week at a time; memory holds nine bytes a customer of a week."""

    def __init__(self, run: DriftRun) -> None:
        self.run = run
        self.rows_without_customer = self.rows_of_called_customers = 0
        self.unreadable: list[str] = []
        self._now, self._ripe_after = _micros(run.now), _micros_of_days(run.rules.outcome_days)

    def week(self, week: str, days: Sequence[date]) -> Iterator[VersionWeek]:
        """The findings of each version that answered in this week."""
        parts: dict[str, list[Any]] = {}
        seen = SeenHashes()
        for batch in itertools.chain.from_iterable(map(self._read, days)):
            for version, answers, outcomes in self._rows(batch, seen):
                parts.setdefault(version, []).append((answers, outcomes))
        for version in sorted(parts):
            answers, outcomes = (np.concatenate(each) for each in zip(*parts[version], strict=True))
            yield _version_week(version, week, answers, outcomes)

    def _read(self, day: date) -> "Iterator[pa.RecordBatch]":
        return prediction_log.read_predictions(
            self.run.store,
            day,
            columns=(*KEYS, SCORE, MOMENT),
            hashed=[CUSTOMER_KEY],
            unreadable=self.unreadable,
        )

    def _rows(self, batch: "pa.RecordBatch", seen: SeenHashes) -> Iterator[tuple[str, Any, Any]]:
        """A batch's answers and outcomes, by version; each customer of a version once."""
        for version, rows in rows_by_version(batch):
            chosen = batch.take(rows)
            known = chosen.column(CUSTOMER_KEY).is_valid().to_numpy(zero_copy_only=False)
            self.rows_without_customer += int((~known).sum())
            answers = numbers(SCORE_COLUMN, chosen.column(SCORE))
            usable = known & ~np.isnan(answers)
            if not version or not usable.any():
                continue
            keys = chosen.column(CUSTOMER_KEY).fill_null(0).to_numpy()
            outcomes = self.labels.of(
                keys, _moments(chosen), now=self._now, ripe_after=self._ripe_after
            )
            self.rows_of_called_customers += int((usable & (outcomes == CALLED)).sum())
            places = np.flatnonzero(usable & (outcomes >= PENDING))
            places = places[seen.first_of(salted(keys[places], version))]
            if len(places):
                yield version, answers[places], outcomes[places]

    @cached_property
    def labels(self) -> Labels:
        """The table's labels, read when the first prediction asks for them."""
        return read_labels(self.run)


def _version_week(
    version: str, week: str, answers: "NDArray[np.float64]", outcomes: "NDArray[np.int8]"
) -> VersionWeek:
    certain = outcomes != PENDING
    pending = int((~certain).sum())
    return VersionWeek(
        version=version,
        week=week,
        customers=len(answers),
        left=int((outcomes == LEFT).sum()),
        stayed=int((outcomes == STAYED).sum()),
        pending=pending,
        complete=pending == 0,
        realised=scores(answers[certain], outcomes[certain].astype(np.float64), estimated=False)
        if certain.any()
        else None,
        estimate=scores(answers, answers, estimated=True),
    )


def _iso_week(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


def _micros_of_days(days: float) -> int:
    return int(days * 86_400e6)


def _moments(batch: "pa.RecordBatch") -> "NDArray[np.int64]":
    import pyarrow as pa

    typed = batch.column(MOMENT).cast(pa.timestamp("us", tz="UTC"), safe=False)
    return np.asarray(typed.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False))
