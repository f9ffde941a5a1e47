"""Reading history: a month's customers page by page, each with what became of the customer."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from include.contract import Contract
from include.customers.database import reading
from include.customers.rows import read_rows, same_types
from include.errors import DataError
from include.features import SplitRule
from include.history import clock
from include.history.clock import LEFT_AFTER, Months
from include.history.days import is_there as is_there
from include.history.days import snapshot_days
from include.history.tables import (
    AS_OF,
    EXITS,
    KNOWN_AT,
    LEFT_ON,
    LOADED_AT,
    SNAPSHOTS,
    VOLUNTARY,
    exits_table,
    in_time,
    snapshots_table,
)
from include.params import HistoryRules
from include.values import moments

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy.types import TypeEngine

logger = logging.getLogger(__name__)

DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Page:
    """Customers of one month with what the clock says of each; both have the same index."""

    as_of: date
    customers: pd.DataFrame  # the contract's columns without `labelled_at`, and LEFT_AFTER
    sides: "pd.Series[Any]"  # training, calibration, holdout or older
    verdicts: "pd.Series[Any]"
    assumed_rows: int  # whose moment of loading nobody gave: it is the snapshot's own midnight


@dataclass(frozen=True)
class Exits:
    """Who left by the data's cut-off, and when: `left_on`, `known_at`, `forced`, by the key."""

    by_key: pd.DataFrame
    days: tuple[date, ...]  # of the snapshots, ascending
    cutoff: date
    delay_days: int


def read_exits(engine: sa.Engine, contract: Contract, *, now: datetime) -> Exits:
    """Who left, and until when the data says so; DataError where a day or a moment is none.

    An exit that is dated after `now`, or known after it, is not known yet. Without any the last
    snapshot is the cut-off, from which nobody left.
    """
    present = pd.Timestamp(now.astimezone(UTC)).tz_localize(None)
    days = tuple(day for day in snapshot_days(engine) if day <= present.date())
    frame = _exit_rows(engine, contract)
    frame = frame[frame[KNOWN_AT] <= present]
    cutoff = frame[KNOWN_AT].max().date() if len(frame) else max(days, default=present.date())
    frame = frame[frame[LEFT_ON] <= pd.Timestamp(cutoff)]
    delays = (frame[KNOWN_AT].dt.normalize() - frame[LEFT_ON]) / DAY
    return Exits(frame, days, cutoff, clock.usual_delay_days(delays.to_numpy(np.float64)))


def _exit_rows(engine: sa.Engine, contract: Contract) -> pd.DataFrame:
    key = contract.key.name
    types: dict[str, TypeEngine[Any]] = {
        key: sa.BigInteger(),
        LEFT_ON: sa.Date(),
        KNOWN_AT: sa.DateTime(),
        VOLUNTARY: sa.Integer(),
    }
    with reading(engine, EXITS) as connection:
        frame = read_rows(connection, sa.select().select_from(exits_table()), types)
    found = pd.DataFrame(
        {
            LEFT_ON: _moments(frame[LEFT_ON], LEFT_ON).dt.normalize(),
            KNOWN_AT: _moments(frame[KNOWN_AT], KNOWN_AT),
            "forced": frame[VOLUNTARY].astype("Float64").eq(0).fillna(False).to_numpy(np.bool_),
        }
    )
    by_key = found.set_axis(pd.Index(frame[key].astype(np.int64), name=key))
    if not by_key.index.is_unique:  # of a view: the table's key sees to it
        raise DataError(
            f"{int(by_key.index.duplicated().sum())} customers left more than once in {EXITS}: "
            "expected one row a customer, so keep each one's last"
        )
    return by_key


def _moments(values: "pd.Series[Any]", name: str) -> "pd.Series[Any]":
    found: pd.Series[Any] = moments(values.astype("str")).dt.tz_localize(None).dt.as_unit("us")
    if found.isna().any():
        raise DataError(
            f"{int(found.isna().sum())} rows of the table {EXITS} have no date in {name}: expected "
            "days such as 2026-11-30 and moments in UTC, so correct them"
        )
    return found


def leavers_of(
    engine: sa.Engine, contract: Contract, months: Months, day: date, *, rules: HistoryRules
) -> list[int]:
    """The keys of a month's customers who left within its window, as far as they wished to.

    Only of rows that were loaded in time, as in `pages`.
    """
    exits, snapshots, key = exits_table(), snapshots_table(), contract.key.name
    begins, target = day + timedelta(days=months.target.gap_days), months.target
    left, wish = exits.c[LEFT_ON], exits.c[VOLUNTARY]
    query = (
        sa.select(exits.c[key])
        .join_from(exits, snapshots, exits.c[key] == snapshots.c[key])
        .where(snapshots.c[AS_OF] == day, left > begins, left <= target.window_ends(day))
        .where(sa.or_(wish.is_(None), wish), snapshots.c[LOADED_AT] <= in_time(day, rules))
    )
    with reading(engine, SNAPSHOTS) as connection:
        return list(connection.scalars(query))


def pages(
    engine: sa.Engine,
    contract: Contract,
    months: Months,
    exits: Exits,
    *,
    split: SplitRule,
    rules: HistoryRules,
    rows: int,
) -> Iterator[Page]:
    """Every row that is of some use, so many at most at a time, and of one month each.

    The newest month comes first: its rows judge, and some of them are wanted before all others.
    """
    for day in reversed(months.closed):
        for frame in _month(engine, contract, day, rows=rows):
            shares = split.sides(frame[contract.key.name].tolist())
            sides = pd.Series(months.sides(shares, day), index=frame.index)
            used = frame[sides != ""]
            if len(used):
                yield _judged(used, sides[sides != ""], contract, months, exits, day, rules)


def _month(
    engine: sa.Engine, contract: Contract, day: date, *, rows: int
) -> Iterator[pd.DataFrame]:
    """A month's customers by key, each page a query of its own."""
    table = snapshots_table()
    key = table.c[contract.key.name]
    names = [contract.key.name, *contract.feature_names, LOADED_AT]
    types = {name: table.c[name].type for name in names}
    query = sa.select().select_from(table).where(table.c[AS_OF] == day).order_by(key).limit(rows)
    after: int | None = None
    while True:
        with reading(engine, SNAPSHOTS) as connection:
            following = query if after is None else query.where(key > after)
            page = read_rows(connection, following, types)
        if len(page):
            yield page
        if len(page) < rows:
            return
        after = int(page[contract.key.name].iloc[-1])


def _judged(
    frame: pd.DataFrame,
    sides: "pd.Series[Any]",
    contract: Contract,
    months: Months,
    exits: Exits,
    day: date,
    rules: HistoryRules,
) -> Page:
    """A part of a month with what became of each customer."""
    midnight = pd.Timestamp(day)
    known = exits.by_key.reindex(frame[contract.key.name].to_numpy())
    left_after = np.asarray((known[LEFT_ON] - midnight) / DAY, np.float64)
    known_after = np.asarray((known[KNOWN_AT] - midnight) / DAY, np.float64)
    loaded = moments(frame[LOADED_AT].astype("str")).dt.tz_localize(None)
    late = ~(loaded <= in_time(day, rules)).to_numpy()  # so is a moment that is none
    forced = known["forced"].eq(True).to_numpy(np.bool_)
    found = clock.verdicts(left_after, known_after, forced, late, months.target)
    names = [contract.key.name, *contract.feature_names]
    types = {name: snapshots_table().c[name].type for name in names}
    typed = same_types(frame, types, contract)
    typed.insert(1, contract.target.name, _labels(found == clock.LEAVES, contract, frame.index))
    wished = np.where(forced & (left_after > months.target.last_day), np.nan, left_after)
    typed[LEFT_AFTER] = pd.Series(wished, index=frame.index).astype("Int64")
    verdicts = pd.Series(found, index=frame.index, dtype="str")
    return Page(day, typed, sides, verdicts, int((loaded == midnight).sum()))


def _labels(
    leaves: "NDArray[np.bool_]", contract: Contract, index: "pd.Index[Any]"
) -> "pd.Series[str]":
    """The contract's own words for who leaves and who stays."""
    target = contract.target
    words = sorted(target.categories, key=lambda category: category == target.positive)
    return pd.Series(np.array(words, dtype=object)[leaves.astype(int)], index=index, dtype="str")
