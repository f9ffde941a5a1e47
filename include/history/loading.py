"""Filling `churner_snapshots` and `churner_exits`, on SQLite and MySQL alike, in batches.

A customer's row of a day is written once and never again. An exit may become better known: another
day, another moment, whose wish it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from include.customers.database import database_errors
from include.customers.loading import create_tables
from include.customers.rows import for_tuples, row_batches
from include.customers.table import published_contract, stored_moment
from include.errors import DataError
from include.history.tables import (
    AS_OF,
    EXITS,
    KNOWN_AT,
    LEFT_ON,
    LOADED_AT,
    SNAPSHOTS,
    VOLUNTARY,
    exits_table,
    snapshots_table,
)

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Compared:
    """Rows beside those of the same key that are stored already, or came before them."""

    new: list[Row]
    other: list[Row]  # the key is there with other values
    same: int


def create_history_tables(engine: sa.Engine) -> None:
    """Make both tables, and SQLite's file, unless they are there."""
    create_tables(engine, snapshots_table(), exits_table())


def write_snapshot(
    engine: sa.Engine, frame: pd.DataFrame, *, as_of: date, loaded_at: datetime
) -> int:
    """Add a day's customers (key and features, checked by the contract); how many were new.

    One that is there already stays as it is; DataError, and nothing is written, where the frame has
    other values for it.
    """
    rows = snapshot_rows(frame.assign(**{LOADED_AT: stored_moment(loaded_at)}), as_of)
    written = 0
    with database_errors(engine, f"write the table {SNAPSHOTS}"), engine.begin() as connection:
        for batch in row_batches(rows):
            compared = compare_with_snapshot(connection, batch, as_of)
            if compared.other:
                raise DataError(
                    f"{SNAPSHOTS} keeps what it has, and of {as_of} it has other values for "
                    f"{len(compared.other):,} customers; nothing was written. Where those are "
                    "wrong, DELETE them first"
                )
            written += insert_rows(connection, snapshots_table(), compared.new)
    return written


def write_exits(engine: sa.Engine, frame: pd.DataFrame) -> int:
    """Add exits, or correct them (key, left_on, known_at, voluntary); how many were new or other.

    `left_on` holds days, `known_at` moments with their time zone; `voluntary` may be absent.
    """
    with database_errors(engine, f"write the table {EXITS}"), engine.begin() as connection:
        new, corrected, _ = put_exits(connection, frame)
    return new + corrected


def snapshot_rows(frame: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One day's customers in the table's columns and order; `loaded_at` as it is stored."""
    rows = frame.assign(**{AS_OF: as_of.isoformat()}).sort_values(published_contract().key.name)
    return rows[[column.name for column in snapshots_table().columns]]


def put_exits(connection: sa.Connection, frame: pd.DataFrame) -> tuple[int, int, int]:
    """The same in a transaction; how many were new, other, and as they were."""
    new = corrected = same = 0
    for batch in row_batches(_exit_rows(frame)):
        compared = _compare_with_exits(connection, batch)
        new += insert_rows(connection, exits_table(), compared.new)
        _replace_exits(connection, compared.other)
        corrected += len(compared.other)
        same += compared.same
    return new, corrected, same


def _exit_rows(frame: pd.DataFrame) -> pd.DataFrame:
    key, days = published_contract().key.name, pd.to_datetime(frame[LEFT_ON])
    known = [stored_moment(moment) for moment in pd.to_datetime(frame[KNOWN_AT], utc=True)]
    wish = frame.get(VOLUNTARY, pd.Series(None, frame.index, dtype=object)).astype(object)
    return pd.DataFrame(
        {
            key: frame[key],
            LEFT_ON: days.dt.strftime("%Y-%m-%d"),
            KNOWN_AT: pd.Series(known, frame.index, dtype=object),
            VOLUNTARY: wish.map(int, na_action="ignore"),
        }
    )


def compare_with_snapshot(connection: sa.Connection, batch: list[Row], as_of: date) -> Compared:
    """A batch of `snapshot_rows` beside what the table has; when a row was loaded is no value."""
    table, key = snapshots_table(), snapshots_table().c[published_contract().key.name]
    day = table.c[AS_OF] == as_of
    highest = connection.scalar(sa.select(sa.func.max(key)).where(day)) or 0
    stored: dict[Any, Row] = {}
    keys = [row[1] for row in batch if row[1] <= highest]
    if keys:  # who loads in the order of the keys has none, and then nothing is looked up
        found = connection.execute(
            sa.select(*table.columns[1:-1]).where(day, key.in_(_numbers(keys)))
        )
        stored = {row[0]: tuple(row) for row in found}
    return _compare(batch, [row[1:-1] for row in batch], stored)


def _compare_with_exits(connection: sa.Connection, batch: list[Row]) -> Compared:
    table, key = exits_table(), exits_table().c[published_contract().key.name]
    found = connection.execute(
        sa.select(table).where(key.in_(_numbers([row[0] for row in batch])))
    ).tuples()
    stored = {
        number: (number, left.isoformat(), known.isoformat(" ", "microseconds"), wish)
        for number, left, known, wish in found
    }
    return _compare(batch, batch, stored)


def insert_rows(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> int:
    """Write rows of all columns; how many."""
    if rows:
        names = [column.name for column in table.columns]
        # Past SQLAlchemy's handling of single values, which would take longer than the database.
        connection.exec_driver_sql(for_tuples(sa.insert(table), connection.dialect, names), rows)
    return len(rows)


def _replace_exits(connection: sa.Connection, rows: list[Row]) -> None:
    latest = {row[0]: row for row in rows}
    if not latest:
        return
    key = exits_table().c[published_contract().key.name]
    connection.execute(sa.delete(exits_table()).where(key.in_(_numbers(list(latest)))))
    insert_rows(connection, exits_table(), list(latest.values()))


def _compare(batch: list[Row], values: Sequence[Row], stored: dict[Any, Row]) -> Compared:
    new, other = [], []
    for row, own in zip(batch, values, strict=True):
        known = stored.setdefault(own[0], own)
        if known is own:
            new.append(row)
        elif known != own:
            other.append(row)
    return Compared(new, other, len(batch) - len(new) - len(other))


def _numbers(keys: list[int]) -> "sa.BindParameter[Any]":
    """Keys for IN, written out: SQLite takes no more than 32,766 placeholders."""
    return sa.bindparam("keys", keys, expanding=True, literal_execute=True)
