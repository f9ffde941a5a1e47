"""The task `record_exits`: who was seen active in a snapshot, and has a label of leaving since."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import zip_longest
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

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorded:
    """What one run added to the exits."""

    exits: int


def record_exits(run: HistoryRun) -> Recorded:
    """Note the customers whose label turned: the label's day stands for the day they left.

    An exit that is there already, from a file that knows better, stays. Who had left before the
    first snapshot is none.
    """
    contract = published_contract()
    create_history_tables(run.engine)
    if {contract.target.name, contract.labelled_at.name} - set(column_types(run.engine, contract)):
        logger.warning("no exit can be noted: %s has no labels with their moments", TABLE)
        return Recorded(0)
    stamp_labels(run.engine, run.now)
    with database_errors(run.engine, f"write the table {EXITS}"), run.engine.begin() as connection:
        found = sum(
            connection.execute(_turned(connection, day, until)).rowcount
            for day, until in _spans(run)
        )
    logger.info("%s customers of earlier snapshots have left since", f"{found:,}")
    return Recorded(found)


def _spans(run: HistoryRun) -> Iterator[tuple[date, datetime]]:
    """Each snapshot's day, and until when a label may turn of a customer who is not in the next.

    To the end of the next one's day: whoever left in its early hours was not active any more.
    """
    days = snapshot_days(run.engine)
    for day, following in zip_longest(days, days[1:]):
        ends = datetime.combine(following, time.max, UTC) if following else run.now
        yield day, min(ends, run.now)


def _turned(connection: sa.Connection, day: date, until: datetime) -> sa.Insert:
    """Who was active on a day and has a label from after it: by both tables' indexes."""
    contract, snapshots, exits = published_contract(), snapshots_table(), exits_table()
    name, label, moment = contract.key.name, contract.target.name, contract.labelled_at.name
    customers = sa.table(TABLE, *(sa.column(each) for each in (name, label, moment)))
    key, labelled_at = customers.c[name], customers.c[moment]
    turned = (
        sa.select(key, sa.func.date(labelled_at), _as_stored(connection, labelled_at), sa.null())
        .join_from(customers, snapshots, snapshots.c[name] == key)
        .where(snapshots.c[AS_OF] == day, customers.c[label] == contract.target.positive)
        .where(labelled_at >= day.isoformat(), labelled_at <= stored_moment(until))
        .where(~sa.exists().where(exits.c[name] == key))
    )
    return sa.insert(exits).from_select(list(exits.columns), turned)


def _as_stored(connection: sa.Connection, moment: sa.ColumnElement[Any]) -> Any:
    """SQLite has no moments: however a bank writes its texts, ours are of one form."""
    if connection.dialect.name != "sqlite":
        return moment
    return sa.func.strftime("%Y-%m-%d %H:%M:%f", moment).op("||")("000")
