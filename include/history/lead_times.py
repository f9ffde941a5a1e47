"""How early leavers are seen: what a ranking of a month's customers finds, by the days ahead.

Customers whom a ranking does not tell apart are on the list in part: a figure is the mean over all
orders that they could be in, so that it depends neither on a table's order nor on chance.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from include.champion.early_warning import EarlyWarning, LeadTimes, LeavingMonth, OlderMonth
from include.target import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL, BASELINE, CHAMPION = "model", "baseline", "champion"
SPAN_ENDS = (30, 60)  # days after the snapshot; the last span ends with the window
LEAD_DAYS = (30, 60, 90)
BETWEEN_DAYS = 45  # two monthly snapshots are no further apart, a late one included
TOP_SHARE = 0.1  # whose lift is told


@dataclass(frozen=True)
class Month:
    """The customers of one snapshot who judge, and how likely each ranking says they leave.

    `left_after` are days, NaN where nobody left by the cut-off. Who left within the gap is not
    here. The rankings are MODEL, BASELINE and, where it is compared, CHAMPION.
    """

    as_of: date
    keys: "NDArray[np.int64]"
    left_after: "NDArray[np.float64]"
    answers: "Mapping[str, NDArray[np.float64]]"

    def labels(self, target: Target) -> "NDArray[np.int64]":
        """1 for who left within the target's window."""
        return _within(self.left_after, target.gap_days, target.last_day).astype(np.int64)

    def only(self, rows: "NDArray[np.bool_] | slice", rankings: Iterable[str]) -> "Month":
        """Some of the customers, and some of the rankings as they are."""
        answers = {who: self.answers[who][rows] for who in rankings}
        return Month(self.as_of, self.keys[rows], self.left_after[rows], answers)

    def judges(self, target: Target) -> bool:
        """Whether some left and some stayed, so that a ranking can be judged."""
        return len(np.unique(self.labels(target))) == 2


def early_warning(
    holdout: Month, older: Sequence[Month], *, target: Target, list_share: float
) -> EarlyWarning:
    """The figures of the month that judges and of older ones, for each ranking that is there."""
    listed = listed_rows(len(holdout.keys), list_share)
    found = {who: lead_times(holdout, who, target=target, listed=listed) for who in holdout.answers}
    return EarlyWarning(
        target=target,
        as_of=holdout.as_of,
        rows=len(holdout.keys),
        leavers={
            name: int(_within(holdout.left_after, *span).sum())
            for name, span in spans(target).items()
        },
        list_share=list_share,
        listed=listed,
        model=found[MODEL],
        baseline=found[BASELINE],
        champion=found.get(CHAMPION),
        older=tuple(_older(month, target) for month in older if month.judges(target)),
    )


def lead_times(month: Month, who: str, *, target: Target, listed: int) -> LeadTimes:
    """What one ranking finds, with so many customers on its list; some left and some stayed."""
    answers, labels = month.answers[who], month.labels(target)
    top = on_list(answers, listed_rows(len(answers), TOP_SHARE))
    on = on_list(answers, listed)
    recall: dict[str, float | None] = {}
    for name, span in spans(target).items():
        leavers = _within(month.left_after, *span)
        recall[name] = float(on[leavers].mean()) if leavers.any() else None
    return LeadTimes(
        roc_auc=float(roc_auc_score(labels, answers)),
        top_decile_lift=float((top @ labels) / top.sum() / labels.mean()),
        recall=recall,
    )


def spans(target: Target) -> dict[str, tuple[int, int]]:
    """The window in parts by their names: more than so many days after the snapshot, up to so many.

    Of 14 and 90 days: 15–30, 31–60 and 61–104.
    """
    ends = [end for end in SPAN_ENDS if target.gap_days < end < target.last_day]
    begins = [target.gap_days, *ends]
    return {f"{a + 1}–{b}": (a, b) for a, b in zip(begins, [*ends, target.last_day], strict=True)}


def listed_rows(rows: int, share: float) -> int:
    """How many of so many customers are on the list: the share, and at least one."""
    return max(1, round(rows * share))


def on_list(answers: "NDArray[np.float64]", listed: int) -> "NDArray[np.float64]":
    """How far each customer is on the list of so many: 0 or 1, between them where some are alike.

    Those who are alike at its end share what places are left.
    """
    bar = np.partition(answers, -listed)[-listed]
    above, alike = answers > bar, answers == bar
    places: NDArray[np.float64] = above + alike * ((listed - above.sum()) / alike.sum())
    return places


def leaving_months(
    months: Sequence[Month], *, target: Target, list_share: float
) -> Iterator[LeavingMonth]:
    """By the month in which customers left: the share on the list so many days before.

    A customer counts by the newest snapshot that lies at least so far back, so that no number of
    snapshots helps a ranking, and not at all where his row in it was left out. A month is told once
    all its leavers are known.
    """
    seen = pd.concat([_leavers(month, list_share) for month in months], ignore_index=True)
    as_of = np.array(sorted(month.as_of for month in months), dtype="datetime64[D]")
    known = as_of[-1] + np.timedelta64(target.last_day, "D")
    rates = {days: _rates(seen, days, as_of) for days in LEAD_DAYS}
    for period in pd.period_range(as_of[0], known, freq="M"):
        last = np.datetime64(period.end_time.date(), "D")
        told = [
            days
            for days in LEAD_DAYS
            if last <= known and _covered(period, days, as_of) and period in rates[days].index
        ]
        if told:
            left = seen.loc[seen["month"] == period, "key"]
            yield LeavingMonth(
                month=str(period),
                leavers=left.nunique(),
                model=_by_days(rates, told, period, MODEL),
                baseline=_by_days(rates, told, period, BASELINE),
            )


def _within(left_after: "NDArray[np.float64]", after: int, upto: int) -> "NDArray[np.bool_]":
    return (left_after > after) & (left_after <= upto)  # NaN is in no span


def _older(month: Month, target: Target) -> OlderMonth:
    labels = month.labels(target)
    aucs = {who: float(roc_auc_score(labels, each)) for who, each in month.answers.items()}
    return OlderMonth(as_of=month.as_of, rows=len(labels), leavers=int(labels.sum()), **aucs)


def _leavers(month: Month, list_share: float) -> pd.DataFrame:
    """Who left some time after the snapshot, when, and how far each ranking listed them then."""
    left = ~np.isnan(month.left_after)
    listed = listed_rows(len(left), list_share)
    days = month.left_after[left]
    left_on = pd.Timestamp(month.as_of) + pd.to_timedelta(days, unit="D")
    return pd.DataFrame(
        {
            "key": month.keys[left],
            "month": pd.PeriodIndex(left_on, freq="M"),
            "as_of": np.datetime64(month.as_of, "D"),
            "days": days,
            **{who: on_list(month.answers[who], listed)[left] for who in (MODEL, BASELINE)},
        }
    )


def _rates(seen: pd.DataFrame, days: int, as_of: "NDArray[np.datetime64]") -> pd.DataFrame:
    """By month of leaving, how far leavers were on each list in the newest snapshot so far back."""
    before = seen[seen["days"].between(days, days + BETWEEN_DAYS)]
    back = before["as_of"] + pd.to_timedelta(before["days"] - days, unit="D")
    newest = _newest(as_of, back.to_numpy(dtype="datetime64[D]"))
    is_newest = before["as_of"].to_numpy(dtype="datetime64[D]") == newest
    rates: pd.DataFrame = before[is_newest].groupby("month")[[MODEL, BASELINE]].mean()
    return rates


def _newest(
    as_of: "NDArray[np.datetime64]", each: "NDArray[np.datetime64]"
) -> "NDArray[np.datetime64]":
    """The newest snapshot up to each day; none of the days comes before the first."""
    return as_of[np.searchsorted(as_of, each, side="right") - 1]


def _covered(period: "pd.Period", days: int, as_of: "NDArray[np.datetime64]") -> bool:
    """Whether some snapshot lies so far before each of the month's days, and hardly further."""
    back = pd.date_range(period.start_time, period.end_time) - pd.Timedelta(days=days)
    each = back.to_numpy(dtype="datetime64[D]")
    if each[0] < as_of[0]:
        return False
    return bool((each - _newest(as_of, each) <= np.timedelta64(BETWEEN_DAYS, "D")).all())


def _by_days(
    rates: Mapping[int, pd.DataFrame], told: Sequence[int], period: Any, who: str
) -> dict[str, float | None]:
    return {
        str(days): float(rates[days].loc[period, who]) if days in told else None
        for days in LEAD_DAYS
    }
