"""Labels with a clock: which months are closed, which teach and which judge, and what a label is.

A label of a snapshot is known once its window has passed, and after it the usual delay until exits
are known, by the data's cut-off: the day on which the last exit became known. From that day on
nobody may have told us who leaves, and who left would look like somebody who stayed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.history.tables import AS_OF as AS_OF
from include.params import HistoryRules
from include.target import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEFT_AFTER = (
    "left_after_days"  # from the snapshot to leaving; empty where nobody wished to by the cut-off
)
OLDER = "older"  # the side of hold-out customers in months before the one that judges
USUAL = 95  # per cent of exits are known within the usual delay
COVERED_MIN = 0.7  # of a neighbouring month's customers: no bank loses so many in a month

LEAVES, STAYS = "leaves", "stays"
TOO_LATE, INVOLUNTARY = "too late", "involuntary"
AFTER_EXIT, LOADED_LATE = "after exit", "loaded late"


@dataclass(frozen=True)
class Months:
    """The days of the snapshots, by what they are for; each ascending.

    `holdout` is the newest closed one, judged on the hold-out share of the customers alone. The
    windows of `training` end by then, so that no training label depends on a day after it. `older`
    are closed ones before the hold-out, whose hold-out customers say how early leavers are seen.
    """

    target: Target
    cutoff: date
    delay_days: int  # usual, until an exit is known
    training: tuple[date, ...]
    older: tuple[date, ...]
    holdout: date

    @property
    def closed(self) -> tuple[date, ...]:
        """All of them: each is of some use, if not for every customer."""
        return (*self.older, self.holdout)

    def sides(self, shares: "NDArray[np.str_]", as_of: date) -> "NDArray[np.str_]":
        """What customers, by their shares of the split, are for in one month: '' for nothing."""
        held = OLDER if as_of in self.older else "holdout" if as_of == self.holdout else ""
        taught = shares if as_of in self.training else np.full_like(shares, "")
        return np.where(shares == "holdout", held, taught)


@dataclass(frozen=True)
class LeftOut:
    """Rows that are neither trained nor judged on, by why."""

    too_late: int = 0  # left within the gap, or the bank knew it by the snapshot
    involuntary: int = 0  # left within gap or window, and not by the customer's wish
    after_exit: int = 0  # a fault: who has left is in no snapshot
    loaded_late: int = 0  # may know what came after the snapshot's day


def usual_delay_days(days: "NDArray[np.floating]") -> int:
    """By how many days after leaving 95 of 100 exits are known; 0 without any."""
    if not len(days):
        return 0
    return max(int(np.percentile(days, USUAL, method="higher")), 0)


def months_of(
    days: Iterable[date], target: Target, *, cutoff: date, delay_days: int
) -> Months | None:
    """What each snapshot's day is for; None where no window has passed by the cut-off.

    On its last day somebody may still leave: it has passed on the day after.
    """
    known_by = cutoff - timedelta(days=delay_days)
    closed = sorted(day for day in set(days) if target.window_ends(day) < known_by)
    if not closed:
        return None
    *older, holdout = closed
    training = tuple(day for day in older if target.window_ends(day) <= holdout)
    return Months(target, cutoff, delay_days, training, tuple(older), holdout)


def too_few_months(
    days: Iterable[date],
    months: Months | None,
    target: Target,
    rules: HistoryRules,
    *,
    delay_days: int,
    today: date,
) -> str:
    """What is missing for early warning, and when it should be there; '' where nothing is."""
    found = calendar_months(months.closed) if months else 0
    wanted = rules.months_min
    if months and found >= wanted and months.training:
        return ""
    enough = _enough_from(
        sorted(set(days)), target, wanted=wanted, delay_days=delay_days, today=today
    )
    said = f"{found} of {wanted} closed months"
    if found >= wanted:
        said = f"{found} closed months, none of which ends its window before the last begins"
    if delay_days:
        said += f", and exits are usually known after {delay_days} days"
    return f"{said}; enough from {enough} on, if churn_snapshot runs each month"


def thin_months(customers: Mapping[date, int]) -> tuple[str, ...]:
    """The months that have far fewer customers than the one before or after, told for people."""
    days = sorted(customers)
    found = []
    for place, day in enumerate(days):
        beside = max(customers[near] for near in days[max(place - 1, 0) : place + 2])
        if customers[day] < COVERED_MIN * beside:
            found.append(
                f"the snapshot of {day} has {customers[day]:,} hold-out customers, and {beside:,} "
                "are in the one beside it: it may lack customers, those who left above all"
            )
    return tuple(found)


def described(months: Months) -> str:
    """Which months are closed, for people."""
    found, (first, last) = calendar_months(months.closed), (months.closed[0], months.holdout)
    gaps = 12 * (last.year - first.year) + last.month - first.month + 1 - found
    missing = f" ({gaps} between them without a snapshot)" if gaps else ""
    return f"{found} closed months{missing}, the last as of {last}"


def calendar_months(days: Iterable[date]) -> int:
    """How many calendar months they lie in."""
    return len({(day.year, day.month) for day in days})


def _enough_from(
    days: Sequence[date], target: Target, *, wanted: int, delay_days: int, today: date
) -> date:
    """When so many months are closed, and the first one's window has ended by the last of them."""
    last = pd.Timestamp(days[-1] if days else today)
    later = range(0 if not days else 1, wanted + target.last_day // 28 + 2)
    expected = [*days, *((last + pd.DateOffset(months=month)).date() for month in later)]
    judge = next(
        day
        for place, day in enumerate(expected, 1)
        if calendar_months(expected[:place]) >= wanted and target.window_ends(expected[0]) <= day
    )
    return max(target.window_ends(judge) + timedelta(days=1 + delay_days), today)


def verdicts(
    left_after: "NDArray[np.float64]",
    known_after: "NDArray[np.float64]",
    forced: "NDArray[np.bool_]",
    loaded_late: "NDArray[np.bool_]",
    target: Target,
) -> "NDArray[np.str_]":
    """What becomes of rows of one month: LEAVES or STAYS, or why they are left out.

    Days are counted from the snapshot to leaving and to the bank's knowing of it, NaN where nobody
    left; `forced` are exits against the customer's wish. What the bank knew by the evening
    of the snapshot's day, it knew.
    """
    return np.select(
        [
            left_after < 0,
            loaded_late,
            forced & (left_after <= target.last_day),
            (left_after <= target.gap_days) | (known_after < 1),
            left_after <= target.last_day,
        ],
        [AFTER_EXIT, LOADED_LATE, INVOLUNTARY, TOO_LATE, LEAVES],
        STAYS,
    )
