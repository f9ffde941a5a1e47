"""The table behind the first page: scores, and the customer columns that it sorts and filters by.

Joining a million scores with a million customers takes seconds, so it is done once after each
scoring, into whichever of two tables is not in use; a row of `churn_worklist` names the one that
is. Sorting and filtering then stay within one narrow table and its indexes.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from include.customers.contacts import utc
from include.customers.database import database_errors, open_engine
from include.customers.table import TABLE as CHURNERS
from include.customers.table import published_contract
from include.errors import ChurnError
from include.scoring.table import TABLE as SCORES

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
LOOK_DELAY_SECONDS = 1.0  # a page that is being made comes first
BUILD_ROWS = 100_000  # in one transaction, so that nobody waits long for SQLite's lock
BUILD_LEASE = timedelta(minutes=15)  # after which a builder counts as dead
FIRST_WAIT_SECONDS = 8.0
COPIED = {
    "spend": "Total_Trans_Amt",
    "balance": "Total_Revolving_Bal",
    "credit_limit": "Credit_Limit",
    "card": "Card_Category",
    "months_inactive": "Months_Inactive_12_mon",
    "transactions": "Total_Trans_Ct",
}


@dataclass(frozen=True)
class Revenue:
    """What a customer brings in a year: a share of what is spent, and interest on the balance."""

    per_spend: float
    per_balance: float


@dataclass(frozen=True)
class Worklist:
    """The table in use, and what it was built from."""

    table: sa.Table
    stamp: str
    rows: int
    scored_at: str
    model_version: str
    bands: tuple[str, ...]  # the riskiest first
    counts: dict[str, int] = field(
        default_factory=dict, compare=False
    )  # by query: it never changes


@cache
def state_table() -> sa.Table:
    """The one row that says which table is in use and who builds the next."""
    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    return sa.Table(
        "churn_worklist",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("active", sa.String(1), nullable=False),
        sa.Column("stamp", sa.String(200), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("scored_at", sa.String(40), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("bands", sa.String(400), nullable=False),
        sa.Column("built_at", moment),
        sa.Column("building_since", moment),
    )


@cache
def list_table(letter: str) -> sa.Table:
    """One of the two tables; `at_risk`, P(churn) × yearly revenue, orders every campaign."""
    key = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
    name = f"churn_worklist_{letter}"
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("customer", key, primary_key=True, autoincrement=False),
        sa.Column("has_left", sa.SmallInteger(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("at_risk", sa.Double(), nullable=False),
        sa.Column("revenue", sa.Double(), nullable=False),
        sa.Column("band", sa.String(16), nullable=False),
        sa.Column("spend", sa.Double(), nullable=False),
        sa.Column("balance", sa.Double(), nullable=False),
        sa.Column("credit_limit", sa.Double(), nullable=False),
        sa.Column("card", sa.String(64), nullable=False),
        sa.Column("months_inactive", sa.Integer(), nullable=False),
        sa.Column("transactions", sa.BigInteger(), nullable=False),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )


def index_statements(table: sa.Table) -> tuple[str, ...]:
    """What the usual orders walk along; made after the rows, which is several times as fast."""
    orders = (
        *("at_risk", "probability", "revenue", "spend", "balance", "credit_limit"),
        *("months_inactive", "transactions"),
    )
    wanted = {name: f"has_left, {name}" for name in orders}
    wanted |= {"band": "has_left, band, at_risk", "card": "has_left, card", "all": "at_risk"}
    return tuple(
        f"CREATE INDEX {table.name}_{name} ON {table.name} ({columns})"
        for name, columns in wanted.items()
    )


class WorklistKeeper:
    """Keeps the worklist as new as the scores, in a thread of its own, for all processes."""

    def __init__(self, engine: sa.Engine, revenue: Revenue) -> None:
        self._engine, self._revenue = engine, revenue
        self._lock = threading.Lock()
        self._looked_at = -LOOK_SECONDS
        self._pause_seconds = LOOK_SECONDS
        self._builder: threading.Thread | None = None
        self._prepared = False
        self._counts: tuple[str, dict[str, int]] = ("", {})

    def current(self) -> Worklist | None:
        """The worklist in use; None where nobody was ever scored. DataError without a database."""
        found = self.in_use()
        self._look(found)
        if found is None and self._builder is not None:
            self._builder.join(FIRST_WAIT_SECONDS)
            found = self.in_use()
        return found

    @property
    def is_building(self) -> bool:
        """Whether this process prepares a list at the moment."""
        return self._builder is not None and self._builder.is_alive()

    def _look(self, found: Worklist | None) -> None:
        with self._lock:
            due = time.monotonic() - self._looked_at >= self._pause_seconds
            if self.is_building or not due:
                return
            self._looked_at = time.monotonic()
            # Looking alone takes a tenth of a second with a million scores: nobody waits for it.
            self._builder = threading.Thread(
                target=self._renew, args=[found], name="worklist", daemon=True
            )
            self._builder.start()

    def _renew(self, found: Worklist | None) -> None:
        if found is not None:
            time.sleep(LOOK_DELAY_SECONDS)
        started = time.monotonic()
        # Its own engine: SQLite's connections do not like to change threads while they write.
        engine = open_engine(self._engine.url.render_as_string(hide_password=False))
        try:
            stamp = scores_stamp(engine, self._revenue)
            if stamp is None or (found is not None and found.stamp == stamp):
                return
            rows = build(engine, self._revenue, stamp=stamp, now=datetime.now(UTC))
        except ChurnError:
            logger.exception("the worklist could not be built; the one before stays")
            return
        finally:
            engine.dispose()
        seconds = time.monotonic() - started
        # While scoring runs the scores change all the time: a list costs a tenth of it at most.
        self._pause_seconds = max(LOOK_SECONDS, 10 * seconds)
        logger.info("worklist of %s customers built in %.1f s", rows, seconds)

    def in_use(self) -> Worklist | None:
        """The worklist as the database names it, however old."""
        if not self._prepared:
            with database_errors(self._engine, "make the worklist's tables"):
                state_table().metadata.create_all(self._engine)
            self._prepared = True
        state = state_table()
        with database_errors(self._engine, "read churn_worklist"):
            with self._engine.connect() as connection:
                row = connection.execute(sa.select(state).where(state.c.id == 1)).first()
        if row is None or not row.active:
            return None
        if self._counts[0] != row.stamp:
            self._counts = row.stamp, {}
        return Worklist(
            table=list_table(row.active),
            stamp=row.stamp,
            rows=row.row_count,
            scored_at=row.scored_at,
            model_version=row.model_version,
            bands=tuple(band for band in row.bands.split(",") if band),
            counts=self._counts[1],
        )


def scores_stamp(engine: sa.Engine, revenue: Revenue) -> str | None:
    """What changes when the worklist must be built again; None where there are no scores."""
    newest = _newest(engine)
    if newest is None:
        return None
    rows, scored_at, version = newest
    return f"{rows}|{scored_at}|{version}|{revenue.per_spend:g}|{revenue.per_balance:g}"


def build(engine: sa.Engine, revenue: Revenue, *, stamp: str, now: datetime) -> int:
    """Fill the table that is not in use, then use it; its rows, or 0 when somebody else builds."""
    with database_errors(engine, "build the worklist"):
        active = _claim(engine, now)
        if active is None:
            return 0
        try:
            table = list_table("b" if active == "a" else "a")
            rows = _fill(engine, table, revenue)
            _use(engine, table, stamp=stamp, rows=rows, now=now)
        finally:
            _release(engine)
    return rows


def _newest(engine: sa.Engine) -> tuple[int, str, str] | None:
    with database_errors(engine, f"read the table {SCORES}"):
        if not sa.inspect(engine).has_table(SCORES):
            return None
        query = sa.text(f"SELECT COUNT(*), MAX(scored_at), MAX(model_version) FROM {SCORES}")
        with engine.connect() as connection:
            rows, scored_at, version = connection.execute(query).one()
    return (int(rows), str(scored_at), str(version)) if rows else None


def _claim(engine: sa.Engine, now: datetime) -> str | None:
    """The letter of the table in use, if nobody else builds; None where somebody does."""
    state = state_table()
    state.metadata.create_all(engine)
    first = {"id": 1, "active": "", "stamp": "", "row_count": 0, "scored_at": ""}
    with suppress(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(sa.insert(state), [first | {"model_version": "", "bands": ""}])
    free = state.c.building_since.is_(None) | (state.c.building_since < utc(now - BUILD_LEASE))
    with engine.begin() as connection:
        claim = sa.update(state).where(state.c.id == 1, free).values(building_since=utc(now))
        if connection.execute(claim).rowcount == 0:
            return None
        return str(connection.scalar(sa.select(state.c.active).where(state.c.id == 1)))


def _fill(engine: sa.Engine, table: sa.Table, revenue: Revenue) -> int:
    with engine.begin() as connection:
        table.drop(connection, checkfirst=True)
        table.create(connection)
    rows = 0
    for low, high in _ranges(engine):
        with engine.begin() as connection:
            rows += connection.execute(_copy(table, revenue, low, high)).rowcount
    for statement in index_statements(table):
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
    if engine.dialect.name == "sqlite":  # without statistics it would walk the wrong index
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA analysis_limit=2000")
            connection.exec_driver_sql(f"ANALYZE {table.name}")
    return rows


def _ranges(engine: sa.Engine) -> Iterator[tuple[int | None, int | None]]:
    """Ranges of customers, `BUILD_ROWS` each: from the first, to before the second."""
    bound = sa.text(
        f"SELECT customer FROM {SCORES} WHERE customer >= :low ORDER BY customer "
        f"LIMIT 1 OFFSET {BUILD_ROWS}"
    )
    with engine.connect() as connection:
        low = connection.scalar(sa.text(f"SELECT MIN(customer) FROM {SCORES}"))
        while low is not None:
            high = connection.scalar(bound, {"low": low})
            yield low, high
            low = high


def _copy(table: sa.Table, revenue: Revenue, low: int | None, high: int | None) -> sa.Insert:
    contract = published_contract()
    names = (contract.key.name, contract.target.name, *COPIED.values())
    people: Any = sa.table(CHURNERS, *(sa.column(name) for name in names)).alias("c")
    scores: Any = sa.table(
        SCORES, *(sa.column(name) for name in ("customer", "probability", "band"))
    ).alias("s")
    copied = {name: people.c[source] for name, source in COPIED.items()}
    yearly = revenue.per_spend * copied["spend"] + revenue.per_balance * copied["balance"]
    label = people.c[contract.target.name]
    chosen = {
        "customer": scores.c.customer,
        "has_left": sa.case((label == contract.target.positive, 1), else_=0),
        "probability": scores.c.probability,
        "at_risk": scores.c.probability * yearly,
        "revenue": yearly,
        "band": scores.c.band,
        **copied,
    }
    query = (
        sa.select(*(value.label(name) for name, value in chosen.items()))
        .select_from(scores.join(people, people.c[contract.key.name] == scores.c.customer))
        .where(scores.c.customer >= low)
        # Keys must be there; a faulty row of the bank's stays out instead of stopping the list.
        .where(*(value.is_not(None) for value in copied.values()))
    )
    if high is not None:
        query = query.where(scores.c.customer < high)
    return sa.insert(table).from_select(list(chosen), query)


def _use(engine: sa.Engine, table: sa.Table, *, stamp: str, rows: int, now: datetime) -> None:
    _, scored_at, version = stamp.split("|")[:3]
    band = table.c.band
    riskiest = sa.select(band).group_by(band).order_by(sa.func.max(table.c.probability).desc())
    with engine.connect() as connection:
        bands = list(connection.scalars(riskiest))
    values = {
        "bands": ",".join(bands)[:400],
        "active": table.name[-1],
        "stamp": stamp,
        "row_count": rows,
        "scored_at": scored_at[:40],
        "model_version": version[:64],
        "built_at": utc(now),
    }
    with engine.begin() as connection:
        connection.execute(sa.update(state_table()).where(state_table().c.id == 1).values(values))


def _release(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(state_table()).values(building_since=None))
