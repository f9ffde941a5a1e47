"""The table `churn_scores`: each customer's latest score, for the analysts."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from include.customers.database import database_errors
from include.customers.ranges import KeyRange
from include.customers.table import TABLE as CUSTOMERS
from include.customers.table import stored_moment

TABLE = "churn_scores"
WRITE_ROWS = 5000  # a statement of about 1 MB; servers accept 16 MB or more
ATTEMPTS = 5  # SQLite locked by another task, or a deadlock that MySQL resolved against us
RETRY_SECONDS = 0.5


@cache
def score_table() -> sa.Table:
    """The table's definition, with the index by which analysts read it."""
    key = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    return sa.Table(
        TABLE,
        sa.MetaData(),
        sa.Column("customer", key, primary_key=True, autoincrement=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("band", sa.String(16), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False, comment="JSON: the largest contributions"),
        sa.Column("model_version", sa.String(32), nullable=False),
        sa.Column("scored_at", moment, nullable=False, comment="UTC; the same for a whole run"),
        sa.Index("churn_scores_probability", "probability"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )


def create_score_table(engine: sa.Engine) -> None:
    """Make the table unless it is there."""
    with database_errors(engine, f"make the table {TABLE}"):
        score_table().metadata.create_all(engine)


def upsert_scores(engine: sa.Engine, scores: pa.Table) -> None:
    """Write scores over what the table says of the same customers, in transactions of a batch."""
    write = _write_sqlite if engine.dialect.name == "sqlite" else _write_mysql
    with database_errors(engine, f"write the table {TABLE}"):
        for batch in scores.to_batches(max_chunksize=WRITE_ROWS):
            _patiently(engine, write, batch)


def count_scores(engine: sa.Engine, *, scored_at: datetime, model_version: str) -> int:
    """How many rows a run has written."""
    table = score_table()
    query = (
        sa.select(sa.func.count())
        .select_from(table)
        .where(_of_run(scored_at), table.c.model_version == model_version)
    )
    with database_errors(engine, f"read the table {TABLE}"), engine.connect() as connection:
        return int(connection.scalar(query) or 0)


def later_moment(engine: sa.Engine, keys: KeyRange, *, than: datetime) -> str | None:
    """When a later run scored a customer of the range; None where none did."""
    table = score_table()
    moment: sa.ColumnElement[str] = sa.type_coerce(table.c.scored_at, sa.String())
    later = moment > sa.literal(stored_moment(than), sa.String())
    query = sa.select(moment).where(keys.condition(table.c.customer), later).limit(1)
    with database_errors(engine, f"read the table {TABLE}"), engine.connect() as connection:
        found = connection.scalar(query)
        return None if found is None else str(found)


def unscored_customers(
    engine: sa.Engine, key: str, *, scored_at: datetime, limit: int
) -> Sequence[int | None]:
    """The keys of customers who are in `churners` and not in a run's scores, so many at most."""
    table = score_table()
    customers = sa.table(CUSTOMERS, sa.column(key))
    scored = sa.and_(table.c.customer == customers.c[key], _of_run(scored_at))
    query = (
        sa.select(customers.c[key])
        .select_from(customers.outerjoin(table, scored))
        .where(table.c.customer.is_(None))
        .order_by(customers.c[key])
        .limit(limit)
    )
    with database_errors(engine, f"read the table {TABLE}"), engine.connect() as connection:
        return list(connection.scalars(query))


def remove_other_scores(engine: sa.Engine, *, scored_at: datetime) -> int:
    """Remove what earlier runs said of customers who are gone or can no longer be scored."""
    table = score_table()
    statement = sa.delete(table).where(sa.not_(_of_run(scored_at)))
    with database_errors(engine, f"write the table {TABLE}"), engine.begin() as connection:
        return connection.execute(statement).rowcount


def _of_run(scored_at: datetime) -> "sa.ColumnElement[bool]":
    # As text: both databases compare it rightly, and no driver converts it.
    moment: sa.ColumnElement[Any] = sa.literal(stored_moment(scored_at), sa.String())
    return sa.type_coerce(score_table().c.scored_at, sa.String()) == moment


def _patiently(
    engine: sa.Engine, write: Callable[[sa.Connection, pa.RecordBatch], None], batch: Any
) -> None:
    """One transaction; tried again where the database let another writer go first."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _writing(engine) as connection:
                write(connection, batch)
            return
        except sa.exc.OperationalError as error:
            if attempt == ATTEMPTS or not _lost_to_another(error):
                raise
            time.sleep(RETRY_SECONDS * attempt)


@contextmanager
def _writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            # Gaps are not locked then, so tasks in neighbouring ranges do not wait for each other.
            connection = connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            yield connection


def _lost_to_another(error: sa.exc.OperationalError) -> bool:
    reason = str(error.orig)
    return any(sign in reason for sign in ("database is locked", "1205", "1213"))


def _write_sqlite(connection: sa.Connection, batch: pa.RecordBatch) -> None:
    names = [column.name for column in score_table().columns]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    columns = [batch.column(name).to_pylist() for name in names[:-1]]
    columns.append([stored_moment(moment) for moment in batch.column(names[-1]).to_pylist()])
    connection.exec_driver_sql(
        f"INSERT INTO {TABLE} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        f"ON CONFLICT (customer) DO UPDATE SET {changes}",
        list(zip(*columns, strict=True)),
    )


def _write_mysql(connection: sa.Connection, batch: pa.RecordBatch) -> None:
    """One statement made by Arrow: a driver would take longer over each value than the server."""
    names = [column.name for column in score_table().columns]
    changes = ", ".join(f"{name} = VALUES({name})" for name in names[1:])
    numbers = [pc.cast(batch.column(name), pa.string()) for name in names[:2]]
    moments = pc.strftime(batch.column(names[-1]), format="%Y-%m-%d %H:%M:%S")
    texts = [*(batch.column(name) for name in names[2:-1]), moments]
    rows = pc.binary_join_element_wise(*numbers, *map(_quoted, texts), ",")
    connection.execution_options(no_parameters=True).exec_driver_sql(
        f"INSERT INTO {TABLE} ({', '.join(names)}) VALUES ({'),('.join(rows.to_pylist())}) "
        f"ON DUPLICATE KEY UPDATE {changes}"
    )


def _quoted(texts: pa.Array) -> pa.Array:
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), "'", "''")
    return pc.binary_join_element_wise("'", escaped, "'", "")
