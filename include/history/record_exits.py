"""The task `record_exits`: who was seen active in a snapshot, and has a label of leaving since."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from include.customers.database import database_errors
from include.customers.labels import stamp_labels
from include.customers.queries import column_types
from include.customers.table import TABLE, published_contract, stored_moment
from include.history.days import snapshot_days
from include.history.loading import create_history_tables
from include.history.run import HistoryRun
from include.history.tables import AS_OF, EXITS, exits_table, snapshots_table

DAYS_AT_ONCE = 100  # a statement's; SQLite refuses expressions that are 1,000 deep

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorded:
    """What one run added to the exits."""

    exits: int


def record_exits(run: HistoryRun) -> Recorded:
    """Note the customers whose label turned: the label's day stands for the day they left.

    However late: who has a label of leaving, no exit, and was in any snapshot up to that day. An
    exit that is there already, from a file that knows better, stays. Who had left before the first
    snapshot is none.
    """
    contract = published_contract()
    create_history_tables(run.engine)
    if {contract.target.name, contract.labelled_at.name} - set(column_types(run.engine, contract)):
        logger.warning("no exit can be noted: %s has no labels with their moments", TABLE)
        return Recorded(0)
    stamp_labels(run.engine, run.now)
    days = snapshot_days(run.engine)
    parts = (days[at : at + DAYS_AT_ONCE] for at in range(0, len(days), DAYS_AT_ONCE))
    doing = f"write the table {EXITS}"
    with database_errors(run.engine, doing), run.quiet_engine.begin() as connection:
        found = sum(connection.execute(_turned(run, part)).rowcount for part in parts)
    logger.info("%s customers of earlier snapshots have left since", f"{found:,}")
    return Recorded(found)


def _turned(run: HistoryRun, days: Sequence[date]) -> sa.Insert:
    """Who has no exit, a label of leaving, and a row in a snapshot of one of these days before it.

    By `churners_labelled` to the few, and for each of them by the snapshots' key, day by day: a
    join, or one condition on all days, lets MySQL read every snapshot.
    """
    contract, exits = published_contract(), exits_table()
    name, label, moment = contract.key.name, contract.target.name, contract.labelled_at.name
    customers = sa.table(TABLE, *(sa.column(each) for each in (name, label, moment)))
    key, labelled_at = customers.c[name], _as_stored(run.engine, customers.c[moment])
    turned = (
        sa.select(key, sa.func.date(labelled_at), labelled_at, sa.null())
        .where(customers.c[label] == contract.target.positive)
        .where(labelled_at >= days[0].isoformat(), labelled_at <= stored_moment(run.now))
        .where(~sa.exists().where(exits.c[name] == key))
        .where(sa.or_(*(_was_there(key, labelled_at, day) for day in reversed(days))))
    )
    return sa.insert(exits).from_select(list(exits.columns), turned)


def _was_there(
    key: sa.ColumnClause[Any], labelled_at: sa.ColumnElement[Any], day: date
) -> sa.ColumnElement[bool]:
    snapshots = snapshots_table()
    row = sa.exists().where(snapshots.c[AS_OF] == day, snapshots.c[key.name] == key)
    return sa.and_(labelled_at >= day.isoformat(), row)


def _as_stored(engine: sa.Engine, moment: sa.ColumnElement[Any]) -> Any:
    """SQLite has no moments: however a bank writes its texts, ours are of one form."""
    if engine.dialect.name != "sqlite":
        return moment
    return sa.func.strftime("%Y-%m-%d %H:%M:%f", moment).op("||")("000")
