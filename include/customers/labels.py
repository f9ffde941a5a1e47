"""When labels became known: dated where nobody did, and never in the future."""

import logging
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import sqlalchemy as sa

from include.contract import Contract, TableFault
from include.customers.database import database_errors, reading
from include.customers.queries import column_types
from include.customers.table import TABLE, published_contract, stored_moment
from include.values import describe, moments

CLOCKS_DIFFER = timedelta(minutes=10)  # on two machines; less than any time zones do

logger = logging.getLogger(__name__)


def future_labels(frame: pd.DataFrame, contract: Contract, now: datetime) -> list[TableFault]:
    """A fault for every label that became known after `now`, and would stay new until then.

    A server with a time zone east of UTC writes such dates by its NOW().
    """
    name = contract.labelled_at.name
    if name not in frame:
        return []
    expected = f"a date and time up to {stored_moment(now)[:16]} UTC (MySQL: UTC_TIMESTAMP())"
    places = np.flatnonzero(moments(frame[name]) > now).tolist()
    return [TableFault(p, name, expected, describe(str(frame[name].iloc[p]))) for p in places]


def stamp_labels(engine: sa.Engine, now: datetime) -> int:
    """Date the labels that came without a date, from a bank's own INSERT or UPDATE; how many."""
    label, moment = published_contract().target.name, published_contract().labelled_at.name
    absent = {label, moment} - set(column_types(engine, published_contract()))
    if absent:
        logger.warning("labels are not dated: the table %s has no %s", TABLE, sorted(absent))
        return 0
    undated = sa.and_(sa.column(label).is_not(None), sa.column(moment).is_(None))
    with reading(engine, TABLE) as connection:
        count = connection.scalar(
            sa.select(sa.func.count()).select_from(sa.table(TABLE)).where(undated)
        )
    if not count:  # then a view, or a user who may only read, is as good as a table
        return 0
    stamp = sa.update(sa.table(TABLE, sa.column(moment))).where(undated)
    doing = f"date {count:,} labels of {TABLE} (none, where the bank sets {moment} itself, in UTC)"
    with database_errors(engine, doing), engine.begin() as connection:
        return connection.execute(stamp.values({moment: stored_moment(now)})).rowcount
