"""Realised performance: what was predicted of customers, what was expected, and what they did.

Each day reads what came new of the log and sets it aside (`include.drift.weeks`). When all of a
week is `outcome_days` and `label_days` old, its customers are joined with the table's labels, once;
where a version says who will leave, its own window counts instead of `outcome_days`, and days of
leaving instead of labels. The figures stay in performance.json. Until then there is the estimate,
from the probabilities alone. Who deletes performance.json has every week measured anew whose log is
still there, and loses the settled weeks before.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.champion import versions
from include.champion.versions import version_order
from include.drift import performance
from include.drift.figures import estimated, realised
from include.drift.outcomes import (
    CALLED,
    GONE_BEFORE,
    INVOLUNTARY,
    STAYED,
    TOO_LATE,
    UNLABELLED,
    Exits,
    Labels,
    read_exits,
    read_labels,
)
from include.drift.performance import CONFIDENCE, Performance, VersionWeek, days_that_decide
from include.drift.run import DriftRun
from include.drift.verdicts import Promises, judged
from include.drift.weeks import WEEKS_PREFIX, AskedWeek, DayRead, Week
from include.errors import DocumentError
from include.target import STATE, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

LEFT_OUT = {
    "called": CALLED,
    "gone_before": GONE_BEFORE,
    "unlabelled": UNLABELLED,
    "too_late": TOO_LATE,
    "involuntary": INVOLUNTARY,
}
LATE_DAYS = 3  # in which answers that waited for the store may still reach the log


@dataclass(frozen=True)
class Measured:
    """What `measure_outcomes` hands on; the figures are of the champion's latest judged week."""

    performance: str
    weeks: int
    champion: str | None
    lost: bool
    realised_roc_auc: float | None
    estimated_roc_auc: float | None


def measure_outcomes(run: DriftRun) -> Measured:
    """Read what is new of the log, join with labels what is ripe, and write performance.json."""
    measuring = _Measuring(run)
    weeks = [found for week in measuring.window() for found in measuring.week(week)]
    found = measuring.document(weeks)
    run.store.write(performance.KEY, found.to_bytes())
    measuring.forget_settled(weeks)  # only now: who is killed before must find them again
    told = ", ".join(f"{each.version} of {each.week} {each.verdict}" for each in weeks)
    logger.info("%s: %s", found.day, told or "no predictions of known customers")
    return _measured(found)


class _Measuring:
    """One run: what the last one found, and what this one adds; a week in memory at a time."""

    def __init__(self, run: DriftRun) -> None:
        self.run = run
        last = _last(run)
        self.until = run.now.date() - timedelta(days=1)  # whatever day the run is for
        read = min(last.day, self.until) if last else None
        self.unread_from = read - timedelta(days=LATE_DAYS - 1) if read else date.min
        self.found_before = last.weeks if last else ()
        self.latest_days: tuple[DayRead, ...] = ()
        self._promises = Promises(run.store)
        self._labels: Labels | None = None
        self._exits: Exits | None = None

    def window(self) -> list[Week]:
        """The weeks that are shown, oldest first: those not yet ripe, and `outcome_weeks` more."""
        found = versions.read_pointer(self.run.store)
        known = {each.version for each in self.found_before}
        known |= {found[0].version} if found else set()
        unripe = math.ceil(self._days_until_known(known) / 7) + 1
        latest = Week.of(self.until)
        weeks = unripe + self.run.rules.outcome_weeks
        return [latest.before(back) for back in range(weeks)][::-1]

    def week(self, week: Week) -> Sequence[VersionWeek]:
        """Each version's figures of a week; those of before, where nothing is new."""
        before = [each for each in self.found_before if each.begins == week.begins]
        if any(each.settled for each in before):
            return before
        ripe_on = self._ripe_on(week, [each.version for each in before])  # by today's rules
        before = [each.model_copy(update={"ripe_on": ripe_on}) for each in before]
        # What a spool kept for longer than LATE_DAYS counts, too.
        last_look = bool(before) and self._is_over(ripe_on)
        unread = [day for day in week.days if last_look or self._is_unread(day)]
        if not unread:
            return before
        asked = AskedWeek.read(self.run.store, week)
        if before and asked.rows.empty:  # somebody deleted it
            unread = [day for day in week.days if day <= self.until]
        new = [day for day in unread if asked.look(self.run.store, day)]
        if new:
            asked.write(self.run.store)
        self.latest_days = tuple(asked.days.values())
        ripe_on = self._ripe_on(week, [version for version, _ in asked.by_version()])
        # Who was killed before performance.json was written has rows that it does not tell of.
        told = sum(each.customers for each in before) == len(asked.rows)
        if asked.rows.empty or (told and not new and not self._is_over(ripe_on)):
            return before
        return [self._version_week(week, *each, ripe_on=ripe_on) for each in asked.by_version()]

    def _is_unread(self, day: date) -> bool:
        """Whether there may be something new of that day's log."""
        return self.unread_from <= day <= self.until or day == self.run.day

    def _is_over(self, ripe_on: date) -> bool:
        return ripe_on <= self.run.now.date()

    def _ripe_on(self, week: Week, asked: Iterable[str]) -> date:
        """When the outcomes of all versions that were asked in a week are known."""
        return week.over_on(self._days_until_known(asked))

    def _days_until_known(self, asked: Iterable[str]) -> float:
        """How long that takes from the answer on: a week is looked up once, so the longest."""
        rules = self.run.rules
        targets = {self._promises.target(version) for version in asked}
        days = [days_that_decide(target, rules.outcome_days) for target in targets or {STATE}]
        return max(days) + rules.performance.label_days

    def _version_week(
        self, week: Week, version: str, rows: pd.DataFrame, *, ripe_on: date
    ) -> VersionWeek:
        answers = rows["probability"].to_numpy()
        threshold = self._promises.flagged_from(version, answers)
        found = VersionWeek(
            version=version,
            week=week.name,
            begins=week.begins,
            ripe_on=ripe_on,
            customers=len(rows),
            ripe=0,
            called=0,
            gone_before=0,
            unlabelled=0,
            estimate=estimated(answers, threshold=threshold),
            realised=None,
            estimate_of_ripe=None,
            verdict="unripe",
            explanation="",
        )
        if not self._is_over(ripe_on):
            return found
        outcomes = self._outcomes(week, self._promises.target(version), rows)
        return found.model_copy(update=_known(outcomes, answers, threshold))

    def _outcomes(self, week: Week, target: Target, rows: pd.DataFrame) -> "NDArray[np.int8]":
        """What each customer of a week did that is over; the oldest week comes first."""
        keys, asked = rows["customer"].to_numpy(), rows["asked_at"].to_numpy()
        if target.is_early_warning:
            self._exits = self._exits or read_exits(self.run, since=week.begins)
            return self._exits.of(keys, asked, target=target)
        self._labels = self._labels or read_labels(self.run, since=week.begins)
        return self._labels.of(keys, asked, days=self.run.rules.outcome_days)

    def document(self, weeks: Sequence[VersionWeek]) -> Performance:
        """All that is to be written, every week judged by the rules of today."""
        rules = self.run.rules
        names = sorted({each.version for each in weeks}, key=version_order)
        pointer = versions.read_pointer(self.run.store)
        champion = pointer[0].version if pointer else None
        ordered = sorted(
            (
                judged(each, self._promises.promised(each.version, "roc_auc"), rules.performance)
                for each in weeks
            ),
            key=lambda each: (each.begins, version_order(each.version)),
        )
        return Performance(
            as_of=self.run.now,
            day=self.until,
            outcome_days=rules.outcome_days,
            label_days=rules.performance.label_days,
            confidence=CONFIDENCE,
            ripe_min=rules.performance.ripe_min,
            leavers_min=rules.performance.leavers_min,
            loss_min=rules.performance.loss_min,
            retrains=rules.performance.retrain,
            rows_without_customer=sum(day.rows_without_customer for day in self.latest_days),
            unreadable_objects=tuple(key for day in self.latest_days for key in day.unreadable),
            versions=tuple(self._promises.summary(name, champion, ordered) for name in names),
            weeks=tuple(ordered),
        )

    def forget_settled(self, weeks: Sequence[VersionWeek]) -> None:
        """Delete the customers of weeks whose outcomes are known, or that are no longer shown."""
        settled = {each.begins for each in weeks if each.settled}
        open_weeks = {week.key for week in self.window() if week.begins not in settled}
        for found in list(self.run.store.list(WEEKS_PREFIX)):
            if found.key not in open_weeks:
                self.run.store.delete(found.key)


def _known(
    outcomes: "NDArray[np.int8]", answers: "NDArray[np.float64]", threshold: float | None
) -> dict[str, Any]:
    """What is known of a ripe week."""
    ripe = outcomes >= STAYED
    answers, left = answers[ripe], outcomes[ripe].astype(np.int64)
    counts = {name: int((outcomes == code).sum()) for name, code in LEFT_OUT.items()}
    found: dict[str, Any] = {"ripe": len(left), **counts}
    if len(left):
        found["realised"] = realised(answers, left, threshold=threshold)
        found["estimate_of_ripe"] = estimated(answers, threshold=threshold)
    return found


def _last(run: DriftRun) -> Performance | None:
    """What the last run found; None has everything measured anew."""
    try:
        return performance.read_performance(run.store)
    except DocumentError as error:
        logger.warning("%s; every week is measured anew", error)
        return None


def _measured(found: Performance) -> Measured:
    """The champion's latest judged week, in short."""
    champion = next((each for each in found.versions if each.champion), None)
    week = next(
        (
            each
            for each in found.weeks
            if champion and (each.version, each.week) == (champion.version, champion.judged_week)
        ),
        None,
    )
    realised_auc = week.realised.roc_auc if week and week.realised else None
    estimated_auc = week.estimate_of_ripe.roc_auc if week and week.estimate_of_ripe else None
    return Measured(
        performance=performance.KEY,
        weeks=len(found.weeks),
        champion=champion.version if champion else None,
        lost=champion is not None and champion.lost,
        realised_roc_auc=realised_auc.value if realised_auc else None,
        estimated_roc_auc=estimated_auc.value if estimated_auc else None,
    )
