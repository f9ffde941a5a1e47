"""Which days there are snapshots of; light to import, for whoever only asks that."""

from collections.abc import Iterator
from datetime import date

import sqlalchemy as sa

from include.customers.database import database_errors, opened, reading, shown_url
from include.customers.first_customers import MADE_UP, known_customers
from include.customers.table import TABLE, published_contract
from include.errors import DataError
from include.history.tables import AS_OF, EXITS, SNAPSHOTS, snapshots_table


def is_there(engine: sa.Engine) -> bool:
    """Whether a first load or a first month has made the tables."""
    with database_errors(engine, f"look for the table {SNAPSHOTS}"):
        return all(sa.inspect(engine).has_table(name) for name in (SNAPSHOTS, EXITS))


def snapshot_days(engine: sa.Engine) -> tuple[date, ...]:
    """The days of the snapshots, ascending."""
    with reading(engine, SNAPSHOTS) as connection:
        return tuple(days_within(connection))


def days_within(connection: sa.Connection) -> Iterator[date]:
    """The same within a transaction: one step in the index for each."""
    day = snapshots_table().c[AS_OF]
    first = sa.select(sa.func.min(day, type_=sa.Date))
    following = connection.scalar(first)
    while following is not None:
        yield following
        following = connection.scalar(first.where(day > following))


def kept_days(engine: sa.Engine) -> tuple[date, ...]:
    """The same; none where there is no table, and none of exits is asked for."""
    with database_errors(engine, f"look for the table {SNAPSHOTS}"):
        there = sa.inspect(engine).has_table(SNAPSHOTS)
    return snapshot_days(engine) if there else ()


def months_kept(database_url: str) -> int:
    """How many calendar months have a snapshot; 0 where there are no tables."""
    with opened(database_url) as engine:
        days = snapshot_days(engine) if is_there(engine) else ()
    return len({(day.year, day.month) for day in days})


def refuse_half_made(database_url: str) -> None:
    """DataError where months lie beside no customer who stays: made-up ones are written last."""
    with opened(database_url) as engine:
        rows, known = known_customers(engine)
        is_open = rows == 0 or known == MADE_UP
        if not (is_open and is_there(engine) and snapshot_days(engine)):
            return
        target = published_contract().target
        label: sa.ColumnClause[str] = sa.column(target.name)
        stays = sa.select(label).select_from(sa.table(TABLE)).where(label != target.positive)
        with reading(engine, TABLE) as connection:
            if rows and connection.scalar(stays.limit(1)):
                return
    raise DataError(
        f"{shown_url(engine)} has months of history and {rows:,} customers, of whom none stays, as "
        "a start leaves it that was stopped while it made them up: `make clean-data`, then `make "
        "run HISTORY=24`. If the months are your own, load your customers: make run CSV=path"
    )
