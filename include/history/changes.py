"""Changes over past snapshots: what a model of early warning sees beside a customer's record.

`Total_Trans_Ct_Change_3m` is the record's value less that of the snapshot three months earlier, and
0 where there is none: then no change is known. Training reads them for each snapshot, the nightly
run and the dashboard for today's record, all by `with_changes`.

Sums over twelve months hide the newest month; the difference to last month's sum shows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import sqlalchemy as sa

from include.contract import Column, Contract
from include.customers.database import reading
from include.customers.rows import read_rows
from include.history.tables import AS_OF, LOADED_AT, SNAPSHOTS, in_time, snapshots_table
from include.params import HistoryRules

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANGING = ("Total_Trans_Ct", "Total_Trans_Amt", "Total_Revolving_Bal")
MONTHS = (1, 3, 6)
MONTHS_EARLIER = "months_earlier"
DAYS_APART = 15  # a snapshot stands for the day so many months earlier when it is no further away


def extended(contract: Contract, names: Sequence[str] | Literal["all"]) -> Contract:
    """The contract of a model of early warning: with the changes that the model's `names` ask for.

    A record may leave them out.
    """
    added = [each for each in _columns(contract) if names == "all" or each.name in names]
    return contract.of_columns((*contract.columns, *added))


def _columns(contract: Contract) -> Iterator[Column]:
    for name, months in product(CHANGING, MONTHS):
        column = contract.column(name)
        span = 2 * (column.high - column.low)  # a change is scaled, at most twice
        yield Column(
            name=change_name(name, months),
            type="float",
            minimum=-span,
            maximum=span,
            default=0,
            meaning=f"{name} less what it was {months} month(s) earlier; 0 where nobody knows",
        )


def change_name(name: str, months: int) -> str:
    """The column of a change over so many months."""
    return f"{name}_Change_{months}m"


def asked_months(contract: Contract) -> list[int]:
    """Over how many months the contract has changes."""
    names = contract.defaults
    return [m for m in MONTHS if any(change_name(each, m) in names for each in CHANGING)]


def unknown_months(contract: Contract, as_of: date, snapshots: Sequence[date]) -> list[int]:
    """Those of them of which nothing is known, because no snapshot stands for their beginning."""
    return [m for m in asked_months(contract) if earlier_day(as_of, m, snapshots) is None]


def earlier_day(day: date, months: int, snapshots: Sequence[date]) -> date | None:
    """The snapshot that stands for the day so many months before; always one before `day`."""
    wanted = _months_before(day, months)
    apart = {each: abs((each - wanted).days) for each in snapshots if each < day}
    nearest = min(apart, key=lambda each: apart[each], default=None)
    return nearest if nearest is not None and apart[nearest] <= DAYS_APART else None


def with_changes(
    engine: sa.Engine,
    customers: pd.DataFrame,
    contract: Contract,
    *,
    as_of: date,
    snapshots: Sequence[date],
    rules: HistoryRules,
    unknown: float = 0.0,
) -> pd.DataFrame:
    """Customers as of a day with the changes that the contract has; `snapshots` are all days.

    A change is scaled from the days that it spans to those of its months, so that a customer's does
    not jump on the day from which another snapshot is nearest. A row that was loaded too late after
    its day counts for none: it may know what came next.
    """
    if not contract.defaults:
        return customers
    keys = customers[contract.key.name].to_numpy(np.int64)
    days = {m: earlier_day(as_of, m, snapshots) for m in asked_months(contract)}
    known = {m: day for m, day in days.items() if day is not None}
    lags = _read_lags(engine, contract, known, keys, rules) if known and len(keys) else {}
    added = {}
    for months, day in days.items():
        scale = (as_of - _months_before(as_of, months)).days / (as_of - day).days if day else 1.0
        for name in CHANGING:
            now = pd.to_numeric(customers[name], errors="coerce").to_numpy(np.float64)
            change = scale * (now - lags.get((name, months), np.nan))
            added[change_name(name, months)] = np.where(np.isfinite(change), change, unknown)
    return customers.assign(**{name: added[name] for name in contract.defaults})


def _months_before(day: date, months: int) -> date:
    found: date = (pd.Timestamp(day) - pd.DateOffset(months=months)).date()
    return found


def lags_view(key: str, days: Mapping[int, date], rules: HistoryRules) -> sa.Subquery:
    """What customers had so many months earlier, in the snapshots that stand for those days.

    A view of one statement: its days are parameters, which a stored view cannot have, and reading
    it takes no right to make one.
    """
    table = snapshots_table()
    columns = [table.c[name] for name in (key, *CHANGING)]
    each = [
        sa.select(sa.literal(months).label(MONTHS_EARLIER), *columns)
        .where(table.c[AS_OF] == day)
        .where(table.c[LOADED_AT] <= in_time(day, rules))
        for months, day in days.items()
    ]
    return sa.union_all(*each).subquery("lags")


def _read_lags(
    engine: sa.Engine,
    contract: Contract,
    days: Mapping[int, date],
    keys: "NDArray[np.int64]",
    rules: HistoryRules,
) -> "dict[tuple[str, int], NDArray[np.float64]]":
    """Each value so many months earlier, of these customers; NaN for who is not in the snapshot."""
    name = contract.key.name
    view = lags_view(name, days, rules)
    query = sa.select(view).where(view.c[name].between(int(keys.min()), int(keys.max())))
    types: dict[str, Any] = {each.name: each.type for each in view.c}
    with reading(engine, SNAPSHOTS) as connection:
        found = read_rows(connection, query, types).set_index([MONTHS_EARLIER, name])
    lags = {}
    for months in days:
        same = found.reindex(pd.MultiIndex.from_product([[months], keys]))
        for each in CHANGING:
            lags[each, months] = pd.to_numeric(same[each], errors="coerce").to_numpy(np.float64)
    return lags
