"""Whether a history knows what came after it: a month's values beside the same customers' latest.

Two faults of histories that are put together afterwards show there. A column that means one thing
in the history and another in the table of customers moved, for those who stayed, further than
months move anybody. And a column that was filled with what became of people has, for those who left
long after the month, the very value already that they left with.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import ks_2samp

from include.champion.early_warning import Hindsight

if TYPE_CHECKING:
    from numpy.typing import NDArray

LATER_DAYS = 45  # who left so long after a month has been in a later one since
STAYERS_MIN, LEAVERS_MIN = 100, 20
ALIKE_SHARE = 0.1  # of the values' own width: moves that differ by less
ROWS_MAX = 20_000  # of either; a distance is known to 0.01 then

Values = Mapping[str, "NDArray[np.float64]"]


def compared_rows(left_after: "NDArray[np.float64]") -> "NDArray[np.int64]":
    """The places of the customers to compare, of so many days to leaving, NaN where they stayed."""
    stayed, left = np.isnan(left_after), left_after > LATER_DAYS
    chosen = [_thinned(np.flatnonzero(side)) for side in (stayed, left)]
    return np.sort(np.concatenate(chosen))


def hindsight(
    then: Values, latest: Values, left_after: "NDArray[np.float64]", *, categories: Sequence[str]
) -> tuple[Hindsight, ...]:
    """What both faults look like in each feature; rows are the same customers in both.

    `categories` names the features that are ordinals. The distance is Kolmogorov-Smirnov's of
    numbers, total variation of categories.
    """
    stayed, left = np.isnan(left_after), left_after > LATER_DAYS
    found = []
    for name, values in then.items():
        before, now = values[stayed], latest[name][stayed]
        apart = _total_variation if name in categories else _kolmogorov_smirnov
        same = values[left] == latest[name][left]
        found.append(
            Hindsight(
                feature=name,
                moved=apart(before, now) if len(now) >= STAYERS_MIN else None,
                kept=float(same.mean()) if len(same) >= LEAVERS_MIN else None,
            )
        )
    return tuple(found)


def _thinned(places: "NDArray[np.int64]") -> "NDArray[np.int64]":
    return places[:: max(1, -(-len(places) // ROWS_MAX))]


def _kolmogorov_smirnov(before: "NDArray[np.float64]", now: "NDArray[np.float64]") -> float:
    """Of numbers by which everybody moved alike, such as an age, without what they moved by."""
    moves = now - before
    alike = ALIKE_SHARE * _middle(before)
    since = now - np.median(moves) if _middle(moves) <= alike else now
    return float(ks_2samp(before, since, method="asymp").statistic)


def _middle(values: "NDArray[np.float64]") -> float:
    """How wide the middle nine tenths lie."""
    low, high = np.quantile(values, [0.05, 0.95])
    return float(high - low)


def _total_variation(before: "NDArray[np.float64]", now: "NDArray[np.float64]") -> float:
    values = np.union1d(before, now)
    shares = [np.array([(side == v).mean() for v in values]) for side in (before, now)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
