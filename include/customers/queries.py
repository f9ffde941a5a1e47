"""What the system asks the customer table: everybody, how many, who is newly labelled."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from include.contract import Contract
from include.customers.database import database_errors, reading, shown_url
from include.customers.rows import read_rows
from include.customers.table import TABLE, published_contract, stored_moment
from include.errors import DataError
from include.values import moments

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

HOW_TO_LOAD = "load customers with python -m include.customers load customers.csv"


def read_customers(
    engine: sa.Engine, contract: Contract, *, labelled_only: bool, names: Sequence[str] = ()
) -> pd.DataFrame:
    """The contract's columns as far as the table has them, by key; DataError when there is none.

    All of them, unless `names` says which.
    Values are as the table holds them, right or wrong; `labelled_at` is in UTC.
    """
    found = column_types(engine, contract)
    types = {name: kind for name, kind in found.items() if not names or name in names}
    query = sa.select().select_from(sa.table(TABLE))
    if labelled_only and contract.target.name in types:
        query = query.where(sa.column(contract.target.name).is_not(None))
    if contract.key.name in types:
        query = query.order_by(sa.column(contract.key.name))
    with reading(engine, TABLE) as connection:
        frame = read_rows(connection, query, types)
    if contract.labelled_at.name in types:
        frame[contract.labelled_at.name] = dated(frame[contract.labelled_at.name])
    return frame


def count_newly_labelled(
    engine: sa.Engine, since: datetime, *, until: datetime | None = None
) -> int:
    """How many customers have a label that became known after `since`, and not after `until`.

    One without a date, from a bank's own INSERT or UPDATE, is as new as can be: `stamp_labels`
    dates it when the next training reads it.
    """
    contract = published_contract()
    dated = contract.labelled_at.name in column_types(engine, contract)
    moment: sa.ColumnElement[Any] = sa.column(contract.labelled_at.name) if dated else sa.null()
    newer = (
        sa.select(sa.func.count())
        .select_from(sa.table(TABLE))
        .where(sa.or_(moment > stored_moment(since), moment.is_(None)))
        .where(sa.column(contract.target.name).is_not(None))
    )
    if until is not None:  # training sets a label from the future aside, and it stays new for ever
        newer = newer.where(sa.or_(moment <= stored_moment(until), moment.is_(None)))
    with reading(engine, TABLE) as connection:
        return int(connection.scalar(newer) or 0)


def table_counts(engine: sa.Engine) -> tuple[int, int]:
    """How many customers the table has, and how many of them with a label."""
    label = published_contract().target.name
    present = label in column_types(engine, published_contract())
    labels = sa.func.count(sa.column(label)) if present else sa.literal(0)
    query = sa.select(sa.func.count(), labels).select_from(sa.table(TABLE))
    with reading(engine, TABLE) as connection:
        total, labelled = connection.execute(query).one()
        return int(total), int(labelled)


def column_types(engine: sa.Engine, contract: Contract) -> "dict[str, TypeEngine[Any]]":
    """The contract's columns that the table has; DataError when there is no table."""
    path = engine.url.database
    if engine.dialect.name == "sqlite" and path and path != ":memory:" and not Path(path).exists():
        raise DataError(f"there is no database {shown_url(engine)}: {HOW_TO_LOAD}")
    with database_errors(engine, f"look for the table {TABLE}"):
        try:
            types = {each["name"]: each["type"] for each in sa.inspect(engine).get_columns(TABLE)}
        except sa.exc.NoSuchTableError as error:
            raise DataError(
                f"there is no table {TABLE} in {shown_url(engine)}: {HOW_TO_LOAD}"
            ) from error
    return {column.name: types[column.name] for column in contract.columns if column.name in types}


def dated(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """The moments of a column that holds nothing else; any other column as it is."""
    parsed = moments(values)
    # One that is no date stays, and all with it, for the contract to name.
    return parsed.dt.as_unit("us") if parsed.notna().equals(values.notna()) else values
