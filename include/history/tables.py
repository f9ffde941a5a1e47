"""The tables `churner_snapshots` and `churner_exits`: customers by month, and who left when."""

from datetime import date, datetime, time, timedelta
from functools import cache

import sqlalchemy as sa

from include.customers.table import IN_MYSQL, MOMENT, NUMBER, churners_table, published_contract
from include.params import HistoryRules

SNAPSHOTS = "churner_snapshots"
EXITS = "churner_exits"
AS_OF = "as_of"
LOADED_AT = "loaded_at"
LEFT_ON = "left_on"
KNOWN_AT = "known_at"
VOLUNTARY = "voluntary"


@cache
def snapshots_table() -> sa.Table:
    """The features of whoever was active at a day; append-only, moments in UTC.

    Its key begins with the day: a month is written at one end, and read in one piece.
    """
    contract, customers = published_contract(), churners_table()
    features = [
        sa.Column(column.name, customers.c[column.name].type) for column in contract.features
    ]
    return sa.Table(
        SNAPSHOTS,
        sa.MetaData(),
        sa.Column(AS_OF, sa.Date, primary_key=True),
        sa.Column(contract.key.name, NUMBER, primary_key=True, autoincrement=False),
        *features,
        sa.Column(LOADED_AT, MOMENT, nullable=False),
        **IN_MYSQL,
        sqlite_with_rowid=False,
    )


@cache
def exits_table() -> sa.Table:
    """Who left: the day itself, when the bank knew, and whether it was the customer's wish."""
    return sa.Table(
        EXITS,
        sa.MetaData(),
        sa.Column(published_contract().key.name, NUMBER, primary_key=True, autoincrement=False),
        sa.Column(LEFT_ON, sa.Date, nullable=False),
        sa.Column(KNOWN_AT, MOMENT, nullable=False),
        sa.Column(VOLUNTARY, sa.Boolean, nullable=True),
        **IN_MYSQL,
    )


def in_time(day: date, rules: HistoryRules) -> datetime:
    """Until when a row of that day must have been loaded; days are counted from the day's end."""
    return datetime.combine(day, time()) + timedelta(days=1 + rules.loaded_days_max)
