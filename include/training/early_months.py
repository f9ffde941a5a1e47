"""Early warning as it is judged: hold-out customers month by month, with each ranking's answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.champion.early_warning import EarlyWarning, Hindsight
from include.contract import Share
from include.customers.ranges import read_keys
from include.history.baseline import SIGNS, naive_scores
from include.history.clock import AS_OF, LEFT_AFTER, OLDER
from include.history.hindsight import compared_rows, hindsight
from include.history.lead_times import (
    BASELINE,
    CHAMPION,
    MODEL,
    Month,
    early_warning,
    leaving_months,
)
from include.target import Target
from include.training.early_guards import OLDER_MONTHS, Early
from include.training.fit import SPLIT
from include.training.run import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rankings = Callable[[pd.DataFrame], Mapping[str, NDArray[np.float64]]]

YEAR_DAYS = 365


@dataclass(frozen=True)
class Months:
    """The month that judges, and older ones, ascending, with the answers for their customers.

    The champion's are NaN for customers who may not judge it.
    """

    holdout: Month
    older: tuple[Month, ...]
    target: Target
    list_share: float

    def report(self) -> EarlyWarning:
        """How early the candidate sees leavers, on everybody who was held out."""
        own = (MODEL, BASELINE)
        *older, holdout = (m.only(slice(None), own) for m in (*self.older, self.holdout))
        found = early_warning(holdout, older, target=self.target, list_share=self.list_share)
        told = leaving_months([*older, holdout], target=self.target, list_share=self.list_share)
        return found.model_copy(update={"months": tuple(told)})

    def judged(self, importance: Mapping[str, float], found: tuple[Hindsight, ...]) -> Early | None:
        """What the gate needs, of who may judge the champion, too; None where they are too few."""
        *older, holdout = map(_judging, (*self.older[-OLDER_MONTHS:], self.holdout))
        if not holdout.judges(self.target):
            return None
        figures = early_warning(holdout, older, target=self.target, list_share=self.list_share)
        return Early(figures, holdout.answers[BASELINE], importance, found)


def read_months(
    run: TrainingRun, customers: str, holdout: pd.DataFrame, rankings: "Rankings", target: Target
) -> Months:
    """The hold-out's month and, from `customers`, the older ones, one of them at a time.

    `rankings` answers for rows, under MODEL and, where there is one to compare, CHAMPION.
    """
    key = run.contract.key.name
    kept = [key, AS_OF, LEFT_AFTER, *SIGNS]
    parts = (
        part
        for batch in run.read_batches(customers, where=(SPLIT, OLDER))
        if len(batch)
        for part in batch[kept].assign(**rankings(batch)).groupby(AS_OF, sort=False)
    )
    older = [_month(month, key) for month in _whole_months(parts)]
    return Months(
        holdout=_month(holdout[kept].assign(**rankings(holdout)), key),
        older=tuple(sorted(older, key=lambda month: month.as_of)),
        target=target,
        list_share=run.params.history.list_share,
    )


def read_hindsight(run: TrainingRun, holdout: pd.DataFrame) -> tuple[Hindsight, ...]:
    """The hold-out's values beside the latest in the table of customers."""
    contract = run.contract.of_records
    names = [name for name in run.columns if name not in run.contract.defaults]
    key, left_after = contract.key.name, _days(holdout)
    rows = compared_rows(left_after)
    some = holdout.iloc[rows].assign(**{LEFT_AFTER: left_after[rows]})
    latest = read_keys(run.engine, contract, names, some[key].tolist())
    both = some[[key, LEFT_AFTER]].merge(latest, on=key)
    then = contract.matrix(some.set_index(key).loc[both[key]], names)
    now = contract.matrix(both, names)
    valid = ~np.isnan(now).any(axis=1)  # today's row may break the contract
    return hindsight(
        dict(zip(names, then[valid].T, strict=True)),
        dict(zip(names, now[valid].T, strict=True)),
        both[LEFT_AFTER].to_numpy()[valid],
        categories=[name for name in names if contract.column(name).categories],
    )


def band(share: Share, target: Target) -> Share:
    """The contract's band for the share of leavers; its lower end is a year's."""
    if not target.is_early_warning:
        return share
    part = min(target.horizon_days / YEAR_DAYS, 1)
    return Share(minimum=share.minimum * part, maximum=share.maximum)


def _whole_months(parts: "Iterator[tuple[object, pd.DataFrame]]") -> Iterator[pd.DataFrame]:
    """Each month's rows; a month's parts follow one another, as `cohorts.pages` gives them."""
    for _, same in groupby(parts, key=lambda part: part[0]):
        yield pd.concat([part for _, part in same], ignore_index=True)


def _month(customers: pd.DataFrame, key: str) -> Month:
    """Its arrays are copies: a view of one column would keep all the others in memory."""
    told = [who for who in (MODEL, CHAMPION) if who in customers]
    answers = {who: customers[who].to_numpy(copy=True) for who in told}
    return Month(
        as_of=pd.Timestamp(customers[AS_OF].iloc[0]).date(),
        keys=customers[key].to_numpy(copy=True),
        left_after=_days(customers),
        answers={**answers, BASELINE: naive_scores(customers)},
    )


def _days(customers: pd.DataFrame) -> "NDArray[np.float64]":
    return customers[LEFT_AFTER].to_numpy(dtype=np.float64, na_value=np.nan)


def _judging(month: Month) -> Month:
    if CHAMPION not in month.answers:
        return month
    return month.only(~np.isnan(month.answers[CHAMPION]), month.answers)
