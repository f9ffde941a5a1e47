"""The table `churn_contacts`: whom analysts called, put off or kept aside, and what came of it.

Each mark is a row that stays. `is_current` is 1 on a customer's latest row, so that finding today's
state needs no grouping. A row hides its customer from the list of open calls until `hidden_until`.
Its `author` is who marked, as the sign-in knows them; empty where analysts share a password, and in
rows from before it was kept.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import sqlalchemy as sa

from include.customers.database import LOCKED_SECONDS, database_errors, reading
from include.customers.table import IN_MYSQL, MOMENT, NUMBER, stored_moment
from include.errors import DatabaseUnavailable, DataError

T = TypeVar("T")

Kind: TypeAlias = Literal["listed", "control", "called", "snoozed", "result", "reopened"]
Result: TypeAlias = Literal["stays", "undecided", "leaves", "not_reached"]

TABLE = "churn_contacts"
REST_DAYS = 90  # nobody is called again sooner, and a control group is left alone as long
HIDDEN_DAYS: dict[Kind, int] = {
    "listed": 30,
    "control": REST_DAYS,
    "called": REST_DAYS,
    "snoozed": 30,
    "result": REST_DAYS,
    "reopened": 0,
}
NOTE_CHARACTERS = 500
AUTHOR_CHARACTERS = 128
# A lock's name holds for the whole server, and has at most 64 characters.
LOCK = f"CONCAT('{TABLE}.', MD5(DATABASE()))"
BATCH_ROWS = 500  # parameters in one statement are limited, in SQLite most of all


@dataclass(frozen=True)
class Mark:
    """What an analyst says of one customer."""

    customer: int
    kind: Kind
    result: Result | None = None
    note: str = ""
    days: int | None = None  # until the customer is listed again; by kind where not given
    campaign: str = ""
    probability: float | None = None
    model_version: str = ""
    author: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise DataError(f"a mark is one of {', '.join(get_args(Kind))}, found {self.kind!r}")
        if (self.kind == "result") != (self.result is not None):
            raise DataError("a result is given with the mark 'result', and only with it")
        if self.result is not None and self.result not in get_args(Result):
            raise DataError(
                f"a result is one of {', '.join(get_args(Result))}, found {self.result!r}"
            )
        if self.days is not None and not 0 <= self.days <= 3650:
            raise DataError(f"a customer is put off by 0 to 3650 days, found {self.days}")
        if len(self.note) > NOTE_CHARACTERS:
            raise DataError(f"a note has at most {NOTE_CHARACTERS} characters: shorten it")
        if len(self.author) > AUTHOR_CHARACTERS:
            raise DataError(
                f"an author's name has at most {AUTHOR_CHARACTERS} characters, found "
                f"{len(self.author)}"
            )

    @property
    def hidden_days(self) -> int:
        """For how long the customer is off the list."""
        return HIDDEN_DAYS[self.kind] if self.days is None else self.days


@cache
def contacts_table() -> sa.Table:
    """The table and the index that finds a customer's state."""
    return sa.Table(
        TABLE,
        sa.MetaData(),
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("result", sa.String(16)),
        sa.Column("note", sa.String(NOTE_CHARACTERS), nullable=False),
        sa.Column("campaign", sa.String(64), nullable=False),
        sa.Column("probability", sa.Double()),
        sa.Column("model_version", sa.String(32), nullable=False),
        sa.Column("marked_at", MOMENT, nullable=False),
        sa.Column("hidden_until", MOMENT, nullable=False),
        sa.Column("is_current", sa.SmallInteger(), nullable=False),
        # With a default, because a release from before it writes rows that do not name it.
        sa.Column("author", sa.String(AUTHOR_CHARACTERS), nullable=False, server_default=""),
        sa.Index("churn_contacts_state", "customer", "is_current", "hidden_until"),
        sa.Index("churn_contacts_campaign", "campaign", "kind"),
        **IN_MYSQL,
    )


def create_contacts(engine: sa.Engine) -> None:
    """Make the table unless it is there; an older one gets the column for authors."""
    with database_errors(engine, f"make the table {TABLE}"):
        contacts_table().metadata.create_all(engine)
        _add_author(engine)


def is_there(engine: sa.Engine) -> bool:
    """Whether the first scoring has made the table."""
    with database_errors(engine, f"look for the table {TABLE}"):
        return sa.inspect(engine).has_table(TABLE)


def _add_author(engine: sa.Engine) -> None:
    if _has_author(engine):
        return
    column = contacts_table().c.author
    told = sa.schema.CreateColumn(column).compile(dialect=engine.dialect)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {TABLE} ADD COLUMN {told}")
    except sa.exc.DBAPIError:
        if not _has_author(engine):  # or somebody else came first
            raise


def _has_author(engine: sa.Engine) -> bool:
    return any(each["name"] == "author" for each in sa.inspect(engine).get_columns(TABLE))


@contextmanager
def marking(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction in which nobody else marks customers: what it read is true when it writes."""
    if not is_there(engine):
        raise DataError(f"{TABLE} is not there yet: the first scoring makes it (`make score`)")
    with database_errors(engine, f"add the column author to the table {TABLE}"):
        _add_author(engine)  # no scoring may have run since an update
    alone = _alone_on_sqlite if engine.dialect.name == "sqlite" else _alone_on_mysql
    with database_errors(engine, f"write the table {TABLE}"), engine.connect() as connection:
        with alone(connection):
            yield connection


@contextmanager
def _alone_on_sqlite(connection: sa.Connection) -> Iterator[None]:
    with connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # else it waits only once it writes
        yield


@contextmanager
def _alone_on_mysql(connection: sa.Connection) -> Iterator[None]:
    """By a named lock: customers without a mark have no row that could be locked."""
    took = connection.scalar(sa.text(f"SELECT GET_LOCK({LOCK}, {LOCKED_SECONDS})"))
    connection.rollback()  # the lock stays, and the transaction begins after it was granted
    if not took:
        raise DatabaseUnavailable(
            f"somebody else has been marking customers for {LOCKED_SECONDS} s: try again"
        )
    try:
        with connection.begin():
            yield
    finally:
        connection.execute(sa.text(f"SELECT RELEASE_LOCK({LOCK})"))


def mark(engine: sa.Engine, marks: Sequence[Mark], *, now: datetime) -> None:
    """Write marks in one transaction; each becomes its customer's state."""
    if marks:
        with marking(engine) as connection:
            write(connection, marks, now=now)


def write(connection: sa.Connection, marks: Sequence[Mark], *, now: datetime) -> None:
    """Write marks in a transaction that `marking` opened."""
    table = contacts_table()
    for batch in _batches(marks):
        customers = [each.customer for each in batch]
        connection.execute(
            sa.update(table)
            .where(table.c.customer.in_(customers), table.c.is_current == 1)
            .values(is_current=0)
        )
        connection.execute(sa.insert(table), [_row(each, now) for each in batch])


def history(engine: sa.Engine, customer: int) -> list[dict[str, Any]]:
    """Everything that was noted of one customer, the latest first."""
    if not is_there(engine):
        return []
    table = contacts_table()
    # An older table gets the column when somebody writes: to look changes nothing.
    known = [c for c in table.c if c.name != "author" or _has_author(engine)]
    query = sa.select(*known).where(table.c.customer == customer).order_by(table.c.id.desc())
    with reading(engine, TABLE) as connection:
        return [{"author": "", **row} for row in connection.execute(query).mappings()]


def hidden(connection: sa.Connection, customers: Sequence[int], *, now: datetime) -> set[int]:
    """Those of the customers who are on a list, put off or kept aside, and not to be called."""
    table, found = contacts_table(), set[int]()
    for batch in _batches(customers):
        query = sa.select(table.c.customer).where(
            table.c.customer.in_(batch), table.c.is_current == 1, table.c.hidden_until > utc(now)
        )
        found.update(connection.scalars(query))
    return found


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH_ROWS] for start in range(0, len(items), BATCH_ROWS))


def _row(given: Mark, now: datetime) -> dict[str, Any]:
    row = asdict(given)
    del row["days"]
    until = utc(now + timedelta(days=given.hidden_days))
    return {**row, "marked_at": utc(now), "hidden_until": until, "is_current": 1}


def utc(moment: datetime) -> datetime:
    """A moment as the table's columns hold it: UTC, without saying so."""
    return datetime.fromisoformat(stored_moment(moment.astimezone(UTC)))
