"""The definition of the customer table `churners`, derived from the data contract."""

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from include.contract import Column, load_contract

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

TABLE = "churners"
CATEGORY_CHARACTERS = 64
INT32_MAX = 2**31 - 1

IN_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
# SQLite keeps rows in the order of an INTEGER key, not of a BIGINT.
NUMBER = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")

published_contract = cache(load_contract)


@cache
def churners_table() -> sa.Table:
    """The table: published columns, `labelled_at`, and the index that finds new labels."""
    contract = published_contract()
    columns: list[sa.Column[Any]] = [
        sa.Column(
            column.name,
            _type(column),
            primary_key=column.role == "key",
            autoincrement=False,
            # Only the key is: a faulty row is for the contract to name, not for the bank's INSERT.
            nullable=column.role != "key",
        )
        for column in contract.columns
    ]
    # Answers "labelled after X", and how many labels there are, without touching the rows.
    index = sa.Index("churners_labelled", contract.labelled_at.name, contract.target.name)
    return sa.Table(TABLE, sa.MetaData(), *columns, index, **IN_MYSQL)


def count_rows(connection: sa.Connection) -> int:
    """How many customers the table has."""
    return int(connection.scalar(sa.select(sa.func.count()).select_from(sa.table(TABLE))) or 0)


def _type(column: Column) -> "TypeEngine[Any]":
    if column.role == "key":
        return NUMBER
    if column.type == "timestamp":
        return MOMENT
    if column.type == "category":
        return sa.String(CATEGORY_CHARACTERS)
    if column.type == "float":
        return sa.Double()
    small = column.maximum is not None and column.maximum <= INT32_MAX
    return sa.Integer() if small else sa.BigInteger()


def stored_moment(moment: datetime) -> str:
    """A moment as both databases keep it: UTC, without saying so."""
    if moment.tzinfo is None:
        raise ValueError(f"a moment with its time zone is needed, found {moment}")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
