"""Many wide rows from and to the customer table, in batches, without changing any value."""

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from include.customers.table import churners_table, published_contract
from include.errors import DataError

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

READ_ROWS = 20_000
WRITE_ROWS = 5000
PAGE_BYTES_MAX = 2**30  # the server's max_allowed_packet is smaller, and what counts
NOTHING = "-"  # stands for NULL among hexadecimal texts
LINE_END = "."  # the last field of a line that is whole


def read_rows(
    connection: sa.Connection, query: "sa.Select[Any]", types: "Mapping[str, TypeEngine[Any]]"
) -> pd.DataFrame:
    """The columns named in `types` of a query, each value as the table holds it, right or wrong."""
    streaming = connection.execution_options(stream_results=True, max_row_buffer=READ_ROWS)
    if connection.dialect.name == "sqlite":
        return _plain(streaming, query, list(types))
    return _packed(streaming, query, types)


def read_page(
    connection: sa.Connection,
    query: "sa.Select[Any]",
    types: "Mapping[str, TypeEngine[Any]]",
    *,
    key: str,
) -> pd.DataFrame:
    """The same, by key, for a query of so few rows that they fit into one packet of some MiB.

    From MySQL they come as one text, three times as fast as row by row.
    """
    if connection.dialect.name == "sqlite":
        return read_rows(connection, query, types).sort_values(key, ignore_index=True)
    line = sa.func.concat_ws(",", *_fields(types), LINE_END)
    lines = sa.func.group_concat(line.op("SEPARATOR")(sa.literal_column("'\\n'")))
    connection.exec_driver_sql(f"SET SESSION group_concat_max_len = {PAGE_BYTES_MAX}")
    rows, text = connection.execute(query.with_only_columns(sa.func.count(), lines)).one()
    if not rows:
        return pd.DataFrame(columns=list(types))
    if text is None or not text.endswith(f",{LINE_END}") or text.count("\n") != rows - 1:
        found = read_rows(connection, query, types)  # the server cut the text, and only warns
    else:
        found = _frame([_parsed([text], {**types, LINE_END: sa.String()})], types)
    return found.sort_values(key, ignore_index=True)


def _plain(connection: sa.Connection, query: "sa.Select[Any]", names: list[str]) -> pd.DataFrame:
    # Columns without a type: the driver's own values, a wrong one among them included.
    rows = connection.execute(query.with_only_columns(*map(sa.column, names)))
    frames = [
        pd.DataFrame.from_records([tuple(row) for row in chunk], columns=names, coerce_float=True)
        for chunk in rows.partitions(READ_ROWS)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=names)


def _packed(
    connection: sa.Connection,
    query: "sa.Select[Any]",
    types: "Mapping[str, TypeEngine[Any]]",
) -> pd.DataFrame:
    """Each row as one text: MySQL's drivers for Python spend their time on single fields.

    Texts travel in hexadecimal, so that nothing in them can end a field. A million customers take a
    third of the time that they take field by field.
    """
    rows = connection.execute(query.with_only_columns(sa.func.concat_ws(",", *_fields(types))))
    tables = [_parsed(chunk, types) for chunk in rows.scalars().partitions(READ_ROWS)]
    return _frame(tables, types) if tables else pd.DataFrame(columns=list(types))


def _frame(tables: list[Any], types: "Mapping[str, TypeEngine[Any]]") -> pd.DataFrame:
    table = pa.concat_tables(tables).unify_dictionaries()
    return pd.DataFrame({name: _column(table.column(name)) for name in types})


def _fields(types: "Mapping[str, TypeEngine[Any]]") -> "list[sa.ColumnElement[str]]":
    return [_field(name, kind) for name, kind in types.items()]


def _field(name: str, kind: "TypeEngine[Any]") -> "sa.ColumnElement[str]":
    column: sa.ColumnClause[Any] = sa.column(name)
    if isinstance(kind, sa.Numeric | sa.Integer):
        return sa.func.ifnull(column, "")
    utf8: sa.ColumnElement[Any] = sa.literal_column("utf8mb4")
    return sa.func.ifnull(sa.func.hex(sa.func.convert(column.op("USING")(utf8))), NOTHING)


def _arrow_type(kind: "TypeEngine[Any]") -> Any:
    if isinstance(kind, sa.Integer):
        return pa.int64()
    if isinstance(kind, sa.Numeric):
        return pa.float64()
    return pa.dictionary(pa.int32(), pa.string())


def _parsed(chunk: Any, types: "Mapping[str, TypeEngine[Any]]") -> Any:
    lines = io.BytesIO("\n".join(chunk).encode())
    reading = pa_csv.ReadOptions(column_names=list(types), use_threads=False)
    options = pa_csv.ConvertOptions(
        column_types={name: _arrow_type(kind) for name, kind in types.items()}, null_values=[""]
    )
    try:
        return pa_csv.read_csv(lines, reading, convert_options=options)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"the customer table holds a number that cannot be read: {error}"
        ) from error


def _column(values: Any) -> "pd.Series[Any]":
    if not pa.types.is_dictionary(values.type):
        return pd.Series(values.to_pandas())
    whole = values.combine_chunks()
    texts = [_text(word) for word in whole.dictionary.to_pylist()]
    places = whole.indices.to_numpy(zero_copy_only=False)
    return pd.Series(np.array(texts, dtype=object)[places], dtype="str")


def _text(hexadecimal: str) -> str | None:
    return None if hexadecimal == NOTHING else bytes.fromhex(hexadecimal).decode()


def upsert_rows(connection: sa.Connection, rows: pd.DataFrame, *, keeps_moment: bool) -> int:
    """Write rows in batches; the number of writes as the database counts them."""
    names = [column.name for column in churners_table().columns]
    statement = _upsert_statement(connection.dialect, keeps_moment=keeps_moment)
    # Past SQLAlchemy's handling of single values, which would take longer than the database.
    return sum(
        connection.exec_driver_sql(statement, batch).rowcount for batch in _batches(rows[names])
    )


def _batches(rows: pd.DataFrame) -> Iterator[list[tuple[Any, ...]]]:
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
    # Placeholders by place on every driver, for rows that are tuples.
    kind = (
        sqlite.dialect(paramstyle="qmark")
        if dialect.name == "sqlite"
        else mysql.dialect(paramstyle="format")
    )
    return str(insert.compile(dialect=kind, column_keys=names))
