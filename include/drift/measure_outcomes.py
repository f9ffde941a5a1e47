"""Realised performance: what was predicted of customers, and what they did.

A customer who left is an outcome as soon as the label is known, one who stayed only `outcome_days`
after the prediction. Until then there is an estimate: with calibrated probabilities, the score that
the model would have if each customer left with just the probability it gave.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import AwareDatetime, Field

from include.champion.versions import version_order
from include.customers import queries
from include.documents import Document
from include.drift import findings
from include.drift.run import DriftRun
from include.drift.statistics import SCORE
from include.drift.traffic import SCORE_COLUMN, numbers
from include.predictions import log as prediction_log
from include.predictions.asked import CUSTOMER_KEY, KEYS, rows_by_version, salted
from include.predictions.log import SeenHashes, customer_key, hashes

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

LEFT, STAYED, PENDING, GONE_BEFORE = 1, 0, -1, -2
MOMENT = "predicted_at"


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
    unreadable_objects: tuple[str, ...]
    weeks: tuple[VersionWeek, ...]


@dataclass(frozen=True)
class Measured:
    """What `measure_outcomes` hands on."""

    outcomes: str
    weeks: int
    outcomes_known: int


@dataclass(frozen=True)
class Labels:
    """What the customer table knows, by ascending hash of the customer's key in the log."""

    hashes: "NDArray[np.uint64]"
    left: "NDArray[np.bool_]"
    known: "NDArray[np.bool_]"
    labelled_at: "NDArray[np.int64]"  # microseconds since 1970; the largest where not dated

    def of(
        self, keys: "NDArray[np.uint64]", moments: "NDArray[np.int64]", *, ripe_until: int
    ) -> "NDArray[np.int8]":
        """Each prediction's outcome; `ripe_until` is when the last were made that can have stayed.

        Who had left before he was asked about is no outcome of that prediction.
        """
        places = np.minimum(np.searchsorted(self.hashes, keys), max(len(self.hashes) - 1, 0))
        found = np.full(len(keys), PENDING, dtype=np.int8)
        if not len(self.hashes):
            return found
        known = self.known[places] & (self.hashes[places] == keys)
        left = known & self.left[places]
        found[known & ~left & (moments <= ripe_until)] = STAYED
        found[left] = np.where(self.labelled_at[places] > moments, LEFT, GONE_BEFORE)[left]
        return found


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
    import pyarrow as pa

    contract = run.contract
    target, moment = contract.target, contract.labelled_at.name
    names = (contract.key.name, target.name, moment)
    frame = queries.read_customers(run.open_engine(), contract, labelled_only=True, names=names)
    id_key = run.id_key()
    ids = [customer_key(each, id_key) for each in frame[contract.key.name]]
    texts = pa.array(ids, pa.string())
    keys = hashes(texts, np.zeros(len(texts), dtype=np.uint64))
    order = np.argsort(keys)
    dated = frame[moment] if moment in frame else None
    return Labels(
        hashes=keys[order],
        left=contract.labels(frame).astype(bool)[order],
        known=frame[target.name].isin(target.categories).to_numpy()[order],
        labelled_at=_microseconds(dated, len(frame))[order],
    )


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
        self.rows_without_customer = 0
        self.unreadable: list[str] = []
        ripe = run.now - timedelta(days=run.rules.outcome_days)
        self._ripe_until = int(ripe.timestamp() * 1e6)

    def week(self, week: str, days: Sequence[date]) -> Iterator[VersionWeek]:
        """The findings of each version that answered in this week."""
        parts: dict[str, list[Any]] = {}
        seen = SeenHashes()
        for batch in itertools.chain.from_iterable(map(self._read, days)):
            for version, answers, outcomes in self._rows(batch, seen):
                parts.setdefault(version, []).append((answers, outcomes))
        for version in sorted(parts, key=version_order):
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
            outcomes = self.labels.of(keys, _moments(chosen), ripe_until=self._ripe_until)
            places = np.flatnonzero(usable & (outcomes != GONE_BEFORE))
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


def _microseconds(moments: Any, rows: int) -> "NDArray[np.int64]":
    """When labels became known; one without a date is as new as can be."""
    import pandas as pd

    latest = np.iinfo(np.int64).max
    if moments is None:
        return np.full(rows, latest)
    parsed = pd.to_datetime(moments, utc=True, errors="coerce")
    found = parsed.dt.as_unit("us").astype("int64").to_numpy(copy=True)
    found[parsed.isna().to_numpy()] = latest
    return np.asarray(found)


def _moments(batch: "pa.RecordBatch") -> "NDArray[np.int64]":
    import pyarrow as pa

    typed = batch.column(MOMENT).cast(pa.timestamp("us", tz="UTC"), safe=False)
    return np.asarray(typed.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False))
