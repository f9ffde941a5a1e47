"""The customer table `churners`: made, filled, its labels dated, on SQLite and MySQL alike."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from include.contract import Contract
from include.customers.database import database_errors
from include.customers.rows import upsert_rows
from include.customers.table import (
    TABLE,
    churners_table,
    count_rows,
    published_contract,
    stored_moment,
)
from include.errors import DataError


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
        before = count_rows(connection)
        written += upsert_rows(connection, rows[keeping], keeps_moment=True)
        written += upsert_rows(connection, rows[~keeping], keeps_moment=False)
        inserted = count_rows(connection) - before
    # SQLite counts the rows that it wrote; MySQL counts each row once, and changed ones twice.
    updated = written - (inserted if engine.dialect.name == "sqlite" else len(rows))
    unchanged = len(rows) - inserted - updated
    return LoadSummary(inserted, updated, unchanged, int((~labelled).sum()))


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
