"""Many wide rows from and to the customer table, in batches, without changing any value."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from include.contract import Column, Contract
from include.customers import mysql_arrow
from include.customers.table import churners_table, published_contract
from include.errors import DataError

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

READ_ROWS = 20_000
WRITE_ROWS = 5000


def read_rows(
    connection: sa.Connection, query: "sa.Select[Any]", types: "Mapping[str, TypeEngine[Any]]"
) -> pd.DataFrame:
    """The columns named in `types` of a query, each value as the table holds it, right or wrong."""
    if connection.dialect.name != "sqlite":
        table = mysql_arrow.read_arrow(connection, query, types)
        # Column by column, each given up as soon as it is a part of the frame.
        return pd.DataFrame(table.to_pandas(split_blocks=True, self_destruct=True))
    streaming = connection.execution_options(stream_results=True, max_row_buffer=READ_ROWS)
    # Columns without a type: the driver's own values, a wrong one among them included.
    names = list(types)
    rows = streaming.execute(query.with_only_columns(*map(sa.column, names)))
    frames = [
        pd.DataFrame.from_records([tuple(row) for row in chunk], columns=names, coerce_float=True)
        for chunk in rows.partitions(READ_ROWS)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=names)


def same_types(
    frame: pd.DataFrame, types: "Mapping[str, TypeEngine[Any]]", contract: Contract
) -> pd.DataFrame:
    """The same values in column types that depend on none of them, so that parts fit together.

    Numbers are float64, integer keys excepted, and all else is text. DataError for what is no
    number in a column of numbers, which SQLite takes.
    """
    return pd.DataFrame(
        {name: _as_type(frame[name], kind, contract.column(name)) for name, kind in types.items()}
    )


def _as_type(values: "pd.Series[Any]", kind: "TypeEngine[Any]", column: Column) -> "pd.Series[Any]":
    number = values.dtype.kind in "iufb"
    if column.type not in {"integer", "float"} or isinstance(kind, sa.String):
        # As text, neither 5.0 nor b'M' is a category or a moment.
        if number:
            values = values.astype(np.float64)
        if values.dtype == object:
            values = values.map(_told, na_action="ignore")
        return values.astype("str")
    if number:
        return values if column.role == "key" else values.astype(np.float64)
    try:
        found = pa.array(values, pa.float64(), from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # whose text would show a customer's value
        raise DataError(
            f"the column {column.name} of the customer table holds what is no number: expected "
            "numbers, so correct the rows that hold text there, or the column's type"
        ) from None
    return pd.Series(found.to_numpy(zero_copy_only=False), values.index)


def _told(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def upsert_rows(connection: sa.Connection, rows: pd.DataFrame, *, keeps_moment: bool) -> int:
    """Write rows in batches; the number of writes as the database counts them."""
    names = [column.name for column in churners_table().columns]
    statement = _upsert_statement(connection.dialect, keeps_moment=keeps_moment)
    # Past SQLAlchemy's handling of single values, which would take longer than the database.
    return sum(
        connection.exec_driver_sql(statement, batch).rowcount for batch in row_batches(rows[names])
    )


def row_batches(rows: pd.DataFrame) -> Iterator[list[tuple[Any, ...]]]:
    """A frame's rows as drivers take them: Python's own values, None for what is missing."""
    for start in range(0, len(rows), WRITE_ROWS):
        part = rows.iloc[start : start + WRITE_ROWS]
        yield list(zip(*(_plain_values(part[name]) for name in part), strict=True))


def _plain_values(column: "pd.Series[Any]") -> list[Any]:
    if not column.hasnans:
        return column.tolist()
    return column.astype(object).where(column.notna(), None).tolist()


def _upsert_statement(dialect: sa.Dialect, *, keeps_moment: bool) -> str:
    """INSERT … ON CONFLICT or ON DUPLICATE KEY, one placeholder for each column of the table."""
    table, contract = churners_table(), published_contract()
    names = [column.name for column in table.columns]
    label, moment = contract.target.name, contract.labelled_at.name
    insert: Any = sqlite.insert(table) if dialect.name == "sqlite" else mysql.insert(table)

    def new(name: str) -> Any:
        # VALUES() also for MySQL 8.4, which prefers an alias: drivers batch only what they know.
        return insert.excluded[name] if dialect.name == "sqlite" else sa.func.values(table.c[name])

    kept = sa.func.coalesce(table.c[moment], new(moment))
    stays = sa.case((new(label) == table.c[label], kept), else_=new(moment))
    # The moment first: MySQL assigns in this order, and the moment asks for the old label.
    changes = {moment: stays if keeps_moment else new(moment)}
    changes |= {name: new(name) for name in names if name not in {moment, contract.key.name}}
    if dialect.name == "sqlite":
        differs = [table.c[name].is_distinct_from(value) for name, value in changes.items()]
        insert = insert.on_conflict_do_update(
            index_elements=[contract.key.name], set_=changes, where=sa.or_(*differs)
        )
    else:
        insert = insert.on_duplicate_key_update(list(changes.items()))
    return for_tuples(insert, dialect, names)


def for_tuples(statement: sa.Insert, dialect: sa.Dialect, names: Sequence[str]) -> str:
    """An INSERT of these columns as every driver takes it for rows that are tuples."""
    kind = (
        sqlite.dialect(paramstyle="qmark")
        if dialect.name == "sqlite"
        else mysql.dialect(paramstyle="format")
    )
    return str(statement.compile(dialect=kind, column_keys=list(names)))
