"""The task `snapshot_customers`: the features of whoever is active today, kept for good."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from include.contract import Contract
from include.customers.database import database_errors, shown_url
from include.customers.queries import column_types
from include.customers.table import TABLE, published_contract, stored_moment
from include.errors import DataError
from include.history.loading import create_history_tables
from include.history.run import HistoryRun
from include.history.tables import AS_OF, SNAPSHOTS, snapshots_table

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A month's snapshot, as this run found or left it."""

    as_of: date
    customers: int
    is_new: bool
    missed_months: list[str]  # since the snapshot before, such as 2026-10


def snapshot_customers(run: HistoryRun) -> Snapshot:
    """Copy today's active customers, unless this calendar month has a snapshot already.

    Its day is the day on which it is taken, whenever the run was due: the table shows the present
    alone. DataError where the table of customers lacks a column.
    """
    contract, today = published_contract(), run.now.date()
    columns = column_types(run.engine, contract)
    missing = [name for name in (contract.key.name, *contract.feature_names) if name not in columns]
    if missing:
        raise DataError(
            f"{TABLE} in {shown_url(run.engine)} lacks {', '.join(missing)}: a snapshot needs the "
            "key and every feature of include/config/schema.yaml"
        )
    create_history_tables(run.engine)
    doing = f"copy the active customers of {TABLE} to {SNAPSHOTS}"
    with database_errors(run.engine, doing), run.quiet_engine.begin() as connection:
        snapshot = _of_this_month(connection, today)
        if snapshot is None:
            copy = _copy(contract, today, run.now, has_label=contract.target.name in columns)
            missed = _missed_months(connection, today)
            snapshot = Snapshot(today, connection.execute(copy).rowcount, True, missed)
    _tell(snapshot)
    return snapshot


def _of_this_month(connection: sa.Connection, today: date) -> Snapshot | None:
    as_of: sa.Column[Any] = snapshots_table().c[AS_OF]
    within = (as_of >= today.replace(day=1), as_of < _month_after(today))
    latest = connection.scalar(sa.select(sa.func.max(as_of)).where(*within))
    if latest is None:
        return None
    count = sa.select(sa.func.count()).select_from(snapshots_table()).where(as_of == latest)
    return Snapshot(latest, int(connection.scalar(count) or 0), False, [])


def _copy(contract: Contract, today: date, now: datetime, *, has_label: bool) -> sa.Insert:
    """One statement; who has no label is not known to have left."""
    label: sa.ColumnClause[Any] = sa.column(contract.target.name)
    names = (contract.key.name, *contract.feature_names)
    active = sa.select(
        sa.literal(today.isoformat()), *map(sa.column, names), sa.literal(stored_moment(now))
    ).select_from(sa.table(TABLE))
    if has_label:
        active = active.where(sa.or_(label.is_(None), label != contract.target.positive))
    return sa.insert(snapshots_table()).from_select(list(snapshots_table().columns), active)


def _missed_months(connection: sa.Connection, today: date) -> list[str]:
    as_of: sa.Column[Any] = snapshots_table().c[AS_OF]
    before = connection.scalar(sa.select(sa.func.max(as_of)).where(as_of < today))
    return [f"{month:%Y-%m}" for month in _months_between(before or today, today)]


def _months_between(first: date, last: date) -> Iterator[date]:
    """The first days of the calendar months that lie whole between two days."""
    month = _month_after(first)
    while month < last.replace(day=1):
        yield month
        month = _month_after(month)


def _month_after(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _tell(snapshot: Snapshot) -> None:
    done = "kept" if snapshot.is_new else "were kept already; a month has one snapshot"
    logger.info("%s: %s active customers %s", snapshot.as_of, f"{snapshot.customers:,}", done)
    if snapshot.missed_months:
        logger.warning(
            "no snapshot was taken in %s: what customers were like then cannot be copied any more. "
            "Early warning learns from the other months; `make load-history` loads those that the "
            "bank has kept elsewhere",
            ", ".join(snapshot.missed_months),
        )
