"""The table `churn_contacts`: whom analysts called, put off or kept aside, and what came of it.

Each mark is a row that stays. `is_current` is 1 on a customer's latest row, so that finding today's
state needs no grouping. A row hides its customer from the list of open calls until `hidden_until`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal, TypeAlias, get_args

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from include.customers.database import database_errors, reading
from include.customers.table import published_contract, stored_moment
from include.errors import DataError

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

    @property
    def hidden_days(self) -> int:
        """For how long the customer is off the list."""
        return HIDDEN_DAYS[self.kind] if self.days is None else self.days


@dataclass(frozen=True)
class Group:
    """One side of the comparison of called customers with the control group."""

    customers: int
    left: int


@cache
def contacts_table() -> sa.Table:
    """The table and the index that finds a customer's state."""
    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    key = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
    return sa.Table(
        TABLE,
        sa.MetaData(),
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("result", sa.String(16)),
        sa.Column("note", sa.String(NOTE_CHARACTERS), nullable=False),
        sa.Column("campaign", sa.String(64), nullable=False),
        sa.Column("probability", sa.Double()),
        sa.Column("model_version", sa.String(32), nullable=False),
        sa.Column("marked_at", moment, nullable=False),
        sa.Column("hidden_until", moment, nullable=False),
        sa.Column("is_current", sa.SmallInteger(), nullable=False),
        sa.Index("churn_contacts_state", "customer", "is_current", "hidden_until"),
        sa.Index("churn_contacts_campaign", "campaign", "kind"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )


def create_contacts(engine: sa.Engine) -> None:
    """Make the table unless it is there."""
    with database_errors(engine, f"make the table {TABLE}"):
        contacts_table().metadata.create_all(engine)


def _is_there(engine: sa.Engine) -> bool:
    """Whether the first scoring has made the table."""
    with database_errors(engine, f"look for the table {TABLE}"):
        return sa.inspect(engine).has_table(TABLE)


def mark(engine: sa.Engine, marks: Sequence[Mark], *, now: datetime) -> None:
    """Write marks in one transaction; each becomes its customer's state."""
    if not marks:
        return
    if not _is_there(engine):
        raise DataError(f"{TABLE} is not there yet: the first scoring makes it (`make score`)")
    table = contacts_table()
    with database_errors(engine, f"write the table {TABLE}"), engine.begin() as connection:
        for start in range(0, len(marks), BATCH_ROWS):
            batch = marks[start : start + BATCH_ROWS]
            customers = [each.customer for each in batch]
            connection.execute(
                sa.update(table)
                .where(table.c.customer.in_(customers), table.c.is_current == 1)
                .values(is_current=0)
            )
            connection.execute(sa.insert(table), [_row(each, now) for each in batch])


def history(engine: sa.Engine, customer: int) -> list[dict[str, Any]]:
    """Everything that was noted of one customer, the latest first."""
    table = contacts_table()
    query = sa.select(table).where(table.c.customer == customer).order_by(table.c.id.desc())
    if not _is_there(engine):
        return []
    with reading(engine, TABLE) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def compare_groups(engine: sa.Engine) -> tuple[Group, Group]:
    """Customers put on a campaign's list, and those kept aside from the same campaigns.

    By intention to treat: who was on the list counts as such, reached or not. A customer counts as
    left when the label became known after the campaign began.
    """
    table = contacts_table()
    if not _is_there(engine):
        return Group(0, 0), Group(0, 0)
    kept_aside = sa.select(table.c.campaign).where(table.c.kind == "control").distinct()
    with reading(engine, TABLE) as connection:
        listed, control = (
            Group(*connection.execute(_outcomes(kind, kept_aside)).one())
            for kind in ("listed", "control")
        )
    return listed, control


def _outcomes(kind: str, campaigns: "sa.Select[Any]") -> "sa.Select[Any]":
    table, contract = contacts_table(), published_contract()
    people: Any = sa.table(
        "churners",
        *(sa.column(c.name) for c in (contract.key, contract.target, contract.labelled_at)),
    )
    label, labelled_at = people.c[contract.target.name], people.c[contract.labelled_at.name]
    # A label that is not dated yet is younger than any mark.
    fresh = sa.or_(labelled_at > table.c.marked_at, labelled_at.is_(None))
    left = sa.and_(label == contract.target.positive, fresh)
    both = table.outerjoin(people, people.c[contract.key.name] == table.c.customer)
    return (
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(sa.case((left, 1), else_=0)), 0))
        .select_from(both)
        .where(table.c.kind == kind, table.c.campaign.in_(campaigns))
    )


def _row(given: Mark, now: datetime) -> dict[str, Any]:
    row = asdict(given)
    del row["days"]
    until = utc(now + timedelta(days=given.hidden_days))
    return {**row, "marked_at": utc(now), "hidden_until": until, "is_current": 1}


def utc(moment: datetime) -> datetime:
    """A moment as the table's columns hold it: UTC, without saying so."""
    return datetime.fromisoformat(stored_moment(moment.astimezone(UTC)))
