"""The customer table `churners`: made, filled, its labels dated, on SQLite and MySQL alike."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from include.contract import Contract
from include.customers.database import SETTING, database_errors, shown_url
from include.customers.rows import upsert_rows
from include.customers.table import (
    TABLE,
    churners_table,
    count_rows,
    published_contract,
    stored_moment,
)
from include.errors import ConfigurationError, DataError


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
    create_tables(engine, churners_table())


def create_tables(engine: sa.Engine, *tables: sa.Table) -> None:
    """The same for other tables that lie beside the customers."""
    if engine.dialect.name == "sqlite" and engine.url.database:
        try:
            # Its owner's alone: the file has the mode that the umask says.
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make the directory of {shown_url(engine)}: {error}; mend {SETTING}"
            ) from error
    for table in tables:
        with database_errors(engine, f"make the table {table.name}"):
            table.create(engine, checkfirst=True)


def load_customers(engine: sa.Engine, frame: pd.DataFrame, *, now: datetime) -> LoadSummary:
    """Insert or update customers, as `read_csv_customers` gives them, in one transaction.

    A row with a label and no `labelled_at` keeps the table's while its label stays the same, else
    gets `now`. Loading the same rows again changes nothing.
    """
    contract = published_contract()
    _refuse_unfit(engine)
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
        before = count_rows(connection)
        written += upsert_rows(connection, rows[keeping], keeps_moment=True)
        written += upsert_rows(connection, rows[~keeping], keeps_moment=False)
        inserted = count_rows(connection) - before
    # SQLite counts the rows that it wrote; MySQL counts each row once, and changed ones twice.
    updated = written - (inserted if engine.dialect.name == "sqlite" else len(rows))
    unchanged = len(rows) - inserted - updated
    return LoadSummary(inserted, updated, unchanged, int((~labelled).sum()))


def _refuse_unfit(engine: sa.Engine) -> None:
    """DataError, with the statements that mend it, for what a load cannot be written into."""
    key, made = published_contract().key.name, churners_table()
    with database_errors(engine, f"look at the table {TABLE}"):
        inspector = sa.inspect(engine)
        if TABLE in inspector.get_view_names():
            raise DataError(
                f"{TABLE} in {shown_url(engine)} is a view, which is trained on and scored as "
                "a table is: load into the table under it, or DROP VIEW and load again"
            )
        there = {each["name"] for each in inspector.get_columns(TABLE)}
        primary = inspector.get_pk_constraint(TABLE)["constrained_columns"]
        indexes = [i["column_names"] for i in inspector.get_indexes(TABLE) if i["unique"]]
        unique = [u["column_names"] for u in inspector.get_unique_constraints(TABLE)]
    statements = [
        f"ALTER TABLE {TABLE} ADD COLUMN {column.name} {column.type.compile(engine.dialect)}"
        for column in made.columns
        if column.name not in there
    ]
    if [key] not in [primary, *indexes, *unique]:
        statements.append(
            f"CREATE UNIQUE INDEX churners_key ON {TABLE} ({key})"
            if primary or engine.dialect.name == "sqlite"  # which adds no other kind of key
            else f"ALTER TABLE {TABLE} ADD PRIMARY KEY ({key})"
        )
    if statements:
        raise DataError(
            f"the table {TABLE} in {shown_url(engine)} needs the contract's columns and a key, or "
            f"a second load would double its customers: {'; '.join(statements)}; where "
            f"{key} stands there twice, leave one row of each first"
        )


def _given_moments(rows: pd.DataFrame, contract: Contract, now: datetime) -> "pd.Series[Any]":
    """The rows' own `labelled_at`; DataError for a future one, which would stay new for ever."""
    moments = rows.get(contract.labelled_at.name, pd.Series(pd.NaT, index=rows.index))
    given: pd.Series[Any] = pd.to_datetime(moments, utc=True)
    future = given > now
    if future.any():
        raise DataError(
            f"{int(future.sum()):,} customers have a {contract.labelled_at.name} in the future, "
            f"later than {stored_moment(now)} UTC; nothing was loaded. make check CSV=path lists "
            "their rows"
        )
    return given
