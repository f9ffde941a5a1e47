"""The customer table `churners`: made, loaded and read, on SQLite and MySQL alike.

python -m include.customers.loading load customers.csv
python -m include.customers.loading sample --rows 10000 --seed 1
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from include.contract import Contract
from include.customers.csv_file import read_csv_customers
from include.customers.database import database_errors, open_engine, shown_url
from include.customers.rows import read_rows, upsert_rows
from include.customers.table import TABLE, churners_table, published_contract, stored_moment
from include.errors import ChurnError, DataError
from include.settings import load_settings

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

__all__ = [
    "LoadSummary",
    "count_newly_labelled",
    "create_table",
    "load_customers",
    "open_engine",
    "read_csv_customers",
    "read_customers",
    "stamp_labels",
    "table_counts",
]

logger = logging.getLogger(__name__)

HOW_TO_LOAD = "load customers with python -m include.customers.loading load customers.csv"


@dataclass(frozen=True)
class LoadSummary:
    """What a load did to the table."""

    inserted: int
    updated: int  # known before, with other values
    unchanged: int
    unlabelled: int  # among all of them

    def __str__(self) -> str:
        total = self.inserted + self.updated + self.unchanged
        return (
            f"{total:,} customers: {self.inserted:,} new, {self.updated:,} changed, "
            f"{self.unchanged:,} as they were; {self.unlabelled:,} of them without a label"
        )


def create_table(engine: sa.Engine) -> None:
    """Make the table, and SQLite's file, unless they are there."""
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    with database_errors(engine, f"make the table {TABLE}"):
        churners_table().metadata.create_all(engine)


def load_customers(engine: sa.Engine, frame: pd.DataFrame, *, now: datetime) -> LoadSummary:
    """Insert or update customers, as `read_csv_customers` gives them, in one transaction.

    A row with a label and no `labelled_at` keeps the table's while its label stays the same, else
    gets `now`. Loading the same rows again changes nothing.
    """
    contract = published_contract()
    rows = frame.sort_values(contract.key.name)  # the table then grows at one end
    labelled = rows[contract.target.name].notna()
    given = _given_moments(rows, contract, now).where(labelled)
    moments = given.astype(object).map(stored_moment, na_action="ignore")
    # Not fillna: pandas would make its own kind of moment of a whole second, which no driver knows.
    stamped = [stored_moment(now) if pd.isna(moment) else moment for moment in moments]
    rows[contract.labelled_at.name] = pd.Series(stamped, rows.index, dtype=object).where(labelled)
    keeping = given.isna()
    written = 0
    with database_errors(engine, f"write the table {TABLE}"), engine.begin() as connection:
        before = _count(connection)
        written += upsert_rows(connection, rows[keeping], keeps_moment=True)
        written += upsert_rows(connection, rows[~keeping], keeps_moment=False)
        inserted = _count(connection) - before
    # SQLite counts the rows that it wrote; MySQL counts each row once, and changed ones twice.
    updated = written - (inserted if engine.dialect.name == "sqlite" else len(rows))
    unchanged = len(rows) - inserted - updated
    return LoadSummary(inserted, updated, unchanged, int((~labelled).sum()))


def stamp_labels(engine: sa.Engine, now: datetime) -> int:
    """Date the labels that came without a date, from a bank's own INSERT or UPDATE; how many."""
    label, moment = published_contract().target.name, published_contract().labelled_at.name
    absent = {label, moment} - set(_column_types(engine, published_contract()))
    if absent:
        logger.warning("labels are not dated: the table %s has no %s", TABLE, sorted(absent))
        return 0
    stamp = (
        sa.update(sa.table(TABLE, sa.column(moment)))
        .where(sa.column(label).is_not(None), sa.column(moment).is_(None))
        .values({moment: stored_moment(now)})
    )
    with database_errors(engine, f"date labels of {TABLE}"), engine.begin() as connection:
        return connection.execute(stamp).rowcount


def read_customers(engine: sa.Engine, contract: Contract, *, labelled_only: bool) -> pd.DataFrame:
    """The contract's columns as far as the table has them, by key; DataError when there is none.

    Values are as the table holds them, right or wrong; `labelled_at` is in UTC.
    """
    types = _column_types(engine, contract)
    query = sa.select().select_from(sa.table(TABLE))
    if labelled_only and contract.target.name in types:
        query = query.where(sa.column(contract.target.name).is_not(None))
    if contract.key.name in types:
        query = query.order_by(sa.column(contract.key.name))
    with database_errors(engine, f"read the table {TABLE}"), engine.connect() as connection:
        frame = read_rows(connection, query, types)
    if contract.labelled_at.name in types:
        frame[contract.labelled_at.name] = _moments(frame[contract.labelled_at.name])
    return frame


def count_newly_labelled(engine: sa.Engine, since: datetime) -> int:
    """How many customers have a label that became known after `since`.

    One without a date, from a bank's own INSERT or UPDATE, is as new as can be: `stamp_labels`
    dates it when the next training reads it.
    """
    contract = published_contract()
    dated = contract.labelled_at.name in _column_types(engine, contract)
    moment: sa.ColumnElement[Any] = sa.column(contract.labelled_at.name) if dated else sa.null()
    newer = (
        sa.select(sa.func.count())
        .select_from(sa.table(TABLE))
        .where(sa.or_(moment > stored_moment(since), moment.is_(None)))
        .where(sa.column(contract.target.name).is_not(None))
    )
    with database_errors(engine, f"read the table {TABLE}"), engine.connect() as connection:
        return int(connection.scalar(newer) or 0)


def table_counts(engine: sa.Engine) -> tuple[int, int]:
    """How many customers the table has, and how many of them with a label."""
    label = published_contract().target.name
    present = label in _column_types(engine, published_contract())
    labels = sa.func.count(sa.column(label)) if present else sa.literal(0)
    query = sa.select(sa.func.count(), labels).select_from(sa.table(TABLE))
    with database_errors(engine, f"read the table {TABLE}"), engine.connect() as connection:
        total, labelled = connection.execute(query).one()
        return int(total), int(labelled)


def _given_moments(rows: pd.DataFrame, contract: Contract, now: datetime) -> "pd.Series[Any]":
    """The rows' own `labelled_at`; DataError for a future one, which would stay new for ever."""
    moments = rows.get(contract.labelled_at.name, pd.Series(pd.NaT, index=rows.index))
    given: pd.Series[Any] = pd.to_datetime(moments, utc=True)
    future = given > now
    if future.any():
        keys = rows.loc[future, contract.key.name].head(20).tolist()
        raise DataError(
            f"{int(future.sum()):,} customers have a {contract.labelled_at.name} in the future, "
            f"later than {stored_moment(now)} UTC; nothing was loaded. {contract.key.name} of the "
            f"first: {', '.join(map(str, keys))}"
        )
    return given


def _count(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.select(sa.func.count()).select_from(sa.table(TABLE))) or 0)


def _column_types(engine: sa.Engine, contract: Contract) -> "dict[str, TypeEngine[Any]]":
    """The contract's columns that the table has; DataError when there is no table."""
    path = engine.url.database
    if engine.dialect.name == "sqlite" and path and path != ":memory:" and not Path(path).exists():
        raise DataError(f"there is no database {shown_url(engine)}: {HOW_TO_LOAD}")
    with database_errors(engine, f"look for the table {TABLE}"):
        inspector = sa.inspect(engine)
        if not inspector.has_table(TABLE):
            raise DataError(f"there is no table {TABLE} in {shown_url(engine)}: {HOW_TO_LOAD}")
        types = {column["name"]: column["type"] for column in inspector.get_columns(TABLE)}
    return {column.name: types[column.name] for column in contract.columns if column.name in types}


def _moments(values: "pd.Series[Any]") -> "pd.Series[Any]":
    parsed = pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce")
    # One that is no date stays, and all with it, for the contract to name.
    return parsed.dt.as_unit("us") if parsed.notna().equals(values.notna()) else values


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.customers.loading",
        description="Fill the customer table of CHURN_DATABASE_URL.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    load = commands.add_parser("load", help="load or update customers from a CSV file")
    load.add_argument("csv", type=Path, help="the published file, or the bank's own in its columns")
    sample = commands.add_parser("sample", help="load made-up customers")
    sample.add_argument("--rows", type=int, default=10_000)
    sample.add_argument("--seed", type=int, default=1)
    sample.add_argument("--first-key", type=int, help="the first customer's number")
    return parser


def _customers(options: argparse.Namespace) -> pd.DataFrame:
    if options.command == "load":
        return read_csv_customers(options.csv, published_contract())
    from include.customers.sample import FIRST_KEY, sample_customers

    first = FIRST_KEY if options.first_key is None else options.first_key
    return sample_customers(options.rows, seed=options.seed, first_key=first)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 and one message when it cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        engine = open_engine(load_settings().resolved_database_url)
        try:
            customers = _customers(options)
            create_table(engine)
            summary = load_customers(engine, customers, now=datetime.now(UTC))
        finally:
            engine.dispose()
    except ChurnError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{shown_url(engine)}: {summary}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
