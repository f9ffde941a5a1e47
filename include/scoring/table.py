"""The table `churn_scores`: each customer's latest score, and what the analysts' call list needs.

A run writes into a table of its own, `churn_scores_<its moment>`, and puts it in the place of
`churn_scores` once everything is proved: who reads sees one whole night, never parts of two.
"""

import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from include.customers.database import database_errors, reading
from include.customers.table import IN_MYSQL, MOMENT, NUMBER
from include.customers.table import TABLE as CUSTOMERS
from include.errors import DataError

logger = logging.getLogger(__name__)

TABLE = "churn_scores"
REPLACED = "_replaced"  # MySQL: ends the name of last night's table, until it is dropped
WORKLISTS = ("churn_worklist", "churn_worklist_a", "churn_worklist_b")  # of earlier releases
WRITE_ROWS = 5000  # in one transaction, so that nobody waits long for SQLite's lock
SWAP_SECONDS = 60  # MySQL: how long readers may hold up the swap, and others behind it

FLAGS = ("flagged_since", "call_by", "quiet")  # of early warning; NULL in all other nights

# What the usual orders and filters walk along, mostly without those who have left.
INDEXES = {
    "probability": ("probability",),
    "at_risk": ("at_risk",),
    "band": ("band", "has_left", "at_risk"),
    **{
        f"here_{name}": ("has_left", name)
        for name in (
            *("probability", "at_risk", "revenue", "spend", "balance"),
            *("card", "months_inactive", "transactions", "rise_night", "rise_week"),
        )
    },
}
FLAG_INDEX = {"here_call_by": ("has_left", "call_by", "flagged_since")}  # what the next night asks


@cache
def score_table(name: str = TABLE) -> sa.Table:
    """The table's definition, under this name or a run's own.

    What the list shows of a customer's record is NULL where it breaks the contract in a column that
    the champion does not need.
    """
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("customer", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("band", sa.String(16), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False, comment="JSON: the largest contributions"),
        sa.Column("model_version", sa.String(32), nullable=False),
        sa.Column("scored_at", MOMENT, nullable=False, comment="UTC; the same for a whole run"),
        sa.Column("has_left", sa.SmallInteger(), nullable=False),
        sa.Column("revenue", sa.Double(), comment="in a year, estimated"),
        sa.Column("at_risk", sa.Double(), comment="probability × revenue"),
        sa.Column("spend", sa.Double()),
        sa.Column("balance", sa.Double()),
        sa.Column("credit_limit", sa.Double()),
        sa.Column("card", sa.String(64)),
        sa.Column("months_inactive", sa.Integer()),
        sa.Column("transactions", sa.BigInteger()),
        sa.Column("rise_night", sa.Double(), comment="probability less that of the night before"),
        sa.Column("rise_week", sa.Double(), comment="probability less that of a week before"),
        sa.Column("flagged_since", sa.Date(), comment="first night of this stretch on the list"),
        sa.Column("call_by", sa.Date(), comment="before the predicted window begins"),
        sa.Column("quiet", sa.SmallInteger(), comment="1: a naive rule would see it by now"),
        *(
            sa.Index(f"{name}_{index}", *columns)
            for index, columns in (INDEXES | FLAG_INDEX).items()
        ),
        **IN_MYSQL,
    )


def stage(engine: sa.Engine, scored_at: datetime) -> None:
    """Make a run's own table, without indexes, and drop those of runs that never ended."""
    with database_errors(engine, "make the table of a scoring run"):
        score_table().create(engine, checkfirst=True)
        _drop(engine, [name for name in _tables(engine) if re.fullmatch(rf"{TABLE}_\d+", name)])
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateTable(score_table(_own_name(scored_at))))


def table_of(engine: sa.Engine, scored_at: datetime) -> sa.Table:
    """Where a run's scores are: in its own table, or in `churn_scores` once that was swapped in.

    DataError where they made way for a later run's: an older run, cleared, must not come back.
    """
    own = score_table(_own_name(scored_at))
    with database_errors(engine, "look for the table of a scoring run"):
        if own.name in _tables(engine):
            return own
        with engine.connect() as connection:
            found = connection.scalar(sa.select(score_table().c.scored_at).limit(1))
    if found == scored_at.astimezone(UTC).replace(tzinfo=None):
        return score_table()
    raise DataError(
        f"this run pinned its champion at {scored_at.isoformat()}, and a later run has begun; "
        f"{TABLE} has scores of {found}: those stay; start a new run instead of clearing this one"
    )


def write_scores(engine: sa.Engine, table: sa.Table, rows: pa.Table) -> None:
    """Write rows over what the table says of the same customers, in transactions of a batch."""
    write = _write_sqlite if engine.dialect.name == "sqlite" else _write_mysql
    names = [column.name for column in table.columns]
    with database_errors(engine, f"write the table {table.name}"):
        for batch in rows.to_batches(max_chunksize=WRITE_ROWS):
            with engine.begin() as connection:
                # What nobody has is the default; to write it takes as long as what somebody has.
                known = [name for name in names if batch[name].null_count < len(batch)]
                write(connection, table, batch.select(known))


def count_scores(engine: sa.Engine, table: sa.Table) -> int:
    """How many customers have a score."""
    with reading(engine, table.name) as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def present_columns(engine: sa.Engine) -> frozenset[str]:
    """The columns that `churn_scores` has, an earlier release's fewer; none where it is not."""
    with database_errors(engine, f"read the table {TABLE}"):
        inspector = sa.inspect(engine)
        if not inspector.has_table(TABLE):
            return frozenset()
        return frozenset(column["name"] for column in inspector.get_columns(TABLE))


def unscored_customers(
    engine: sa.Engine, table: sa.Table, key: str, *, limit: int
) -> Sequence[int | None]:
    """The keys of customers who are in `churners` and not in the table, so many at most."""
    customers = sa.table(CUSTOMERS, sa.column(key))
    query = (
        sa.select(customers.c[key])
        .select_from(customers.outerjoin(table, table.c.customer == customers.c[key]))
        .where(table.c.customer.is_(None))
        .order_by(customers.c[key])
        .limit(limit)
    )
    with reading(engine, table.name) as connection:
        return list(connection.scalars(query))


def publish(engine: sa.Engine, scored_at: datetime) -> int:
    """Put a run's table in the place of `churn_scores`; how many customers have no score any more.

    Its indexes are made first: after the rows is several times as fast as with them.
    """
    own = table_of(engine, scored_at)
    if own.name == TABLE:
        return 0
    before = score_table()
    gone = ~sa.exists().where(own.c.customer == before.c.customer)
    query = sa.select(sa.func.count()).select_from(before).where(gone)
    with database_errors(engine, f"put {own.name} in the place of {TABLE}"):
        make_indexes(engine, own)
        with engine.connect() as connection:
            removed = int(connection.scalar(query) or 0)
        _swap(engine, own.name)
    for name in _tables(engine):
        if name in WORKLISTS or name.endswith(REPLACED):
            _drop_if_possible(engine, name)
    return removed


def make_indexes(engine: sa.Engine, table: sa.Table, *, flags: bool = False) -> None:
    """Make the indexes that are not there yet, that of flags where there are any.

    MySQL reads the table once for all of them.
    """
    indexes = [
        index for index in table.indexes if flags or not set(FLAGS) & set(index.columns.keys())
    ]
    if engine.dialect.name == "sqlite":
        for index in sorted(indexes, key=lambda index: str(index.name)):
            index.create(engine, checkfirst=True)
        return
    known = {index["name"] for index in sa.inspect(engine).get_indexes(table.name)}
    wanted = sorted(
        f"ADD INDEX {i.name} ({', '.join(i.columns.keys())})"
        for i in indexes
        if i.name not in known
    )
    if wanted:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table.name} {', '.join(wanted)}")


def _swap(engine: sa.Engine, name: str) -> None:
    """At once, for every reader: MySQL's RENAME changes both names, SQLite has transactions."""
    if engine.dialect.name == "sqlite":
        statements: tuple[str, ...] = (
            "PRAGMA analysis_limit=2000",
            "PRAGMA legacy_alter_table=ON",  # or renaming fails over any view of the bank's own
            "BEGIN IMMEDIATE",
            f"DROP TABLE {TABLE}",
            f"ALTER TABLE {name} RENAME TO {TABLE}",
            f"ANALYZE {TABLE}",  # without statistics it would walk the wrong index
        )
    else:
        statements = (
            f"ANALYZE TABLE {name}",
            f"SET SESSION lock_wait_timeout = {SWAP_SECONDS}",
            f"RENAME TABLE {TABLE} TO {name}{REPLACED}, {name} TO {TABLE}",
        )
    with engine.connect() as connection:
        try:
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.commit()
        finally:
            connection.invalidate()  # what was set is for the swap alone


def _drop_if_possible(engine: sa.Engine, name: str) -> None:
    """What is in nobody's way may stay where a foreign key of the bank's own holds it."""
    try:
        _drop(engine, [name])
    except sa.exc.SQLAlchemyError as error:
        logger.warning("could not drop %s, drop it by hand: %s", name, error)


def _own_name(scored_at: datetime) -> str:
    return f"{TABLE}_{scored_at.astimezone(UTC):%Y%m%d%H%M%S%f}"


def _tables(engine: sa.Engine) -> list[str]:
    return sa.inspect(engine).get_table_names()


def _drop(engine: sa.Engine, names: Sequence[str]) -> None:
    with engine.begin() as connection:
        for name in names:
            connection.exec_driver_sql(f"DROP TABLE {name}")


def _write_sqlite(connection: sa.Connection, table: sa.Table, batch: pa.RecordBatch) -> None:
    columns = [_plain(column).to_pylist() for column in batch.columns]
    marks = ", ".join("?" * len(columns))
    connection.exec_driver_sql(
        f"REPLACE INTO {table.name} ({', '.join(batch.schema.names)}) VALUES ({marks})",
        list(zip(*columns, strict=True)),
    )


def _write_mysql(connection: sa.Connection, table: sa.Table, batch: pa.RecordBatch) -> None:
    """One statement made by Arrow: a driver takes longer over a row's values than the server."""
    rows = pc.binary_join_element_wise(*map(_literal, batch.columns), ",")
    connection.execution_options(no_parameters=True).exec_driver_sql(
        f"REPLACE INTO {table.name} ({', '.join(batch.schema.names)}) "
        f"VALUES ({'),('.join(rows.to_pylist())})"
    )


def _literal(values: pa.Array) -> pa.Array:
    values = _plain(values)
    if pa.types.is_string(values.type):
        escaped = pc.replace_substring(pc.replace_substring(values, "\\", "\\\\"), "'", "''")
        values = pc.binary_join_element_wise("'", escaped, "'", "")
    return pc.coalesce(pc.cast(values, pa.string()), "NULL")


def _plain(values: pa.Array) -> pa.Array:
    """Moments and days as both databases read them, everything else as it is."""
    if pa.types.is_timestamp(values.type):
        values = pc.cast(values, pa.timestamp("us"))  # in UTC, and without saying so
    return pc.cast(values, pa.string()) if pa.types.is_temporal(values.type) else values
