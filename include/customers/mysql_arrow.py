"""Rows of MySQL as an Arrow table: by connectorx, or row by row where it cannot connect.

Every column comes as integers, doubles or text. A date, a decimal and whatever else MySQL knows
comes as the text that the server prints of it, so that none is too odd to be read (connectorx
panics on a zero date): what is wrong with a value is for the contract to say.
"""

import logging
import re
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.util import asbool

from include.customers.database import ANSWER_SECONDS, CONNECT_SECONDS, UTC_SESSION
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.types import TypeEngine

logger = logging.getLogger(__name__)

PORT = 3306
FETCHED_ROWS = 20_000  # at once, where rows come one by one
# A table that somebody locks is waited for as long as any answer; connectorx knows no such limit.
SESSION = [UTC_SESSION, f"SET SESSION lock_wait_timeout = {ANSWER_SECONDS}"]
# Without a limit on an answer, this finds a server that is gone: within two and a half minutes.
KEEP_ALIVE = {"tcp_keepalive_time_ms": "60000", "tcp_keepalive_probe_interval_secs": "10"}
WITHOUT_MEANING = {"charset", "connect_timeout", "read_timeout", "write_timeout"}
REFUSED = re.compile(r"ERROR \d+ \(42")  # SQLSTATE: a wrong statement, a missing table or right


def read_arrow(
    connection: sa.Connection, query: "sa.Select[Any]", types: "Mapping[str, TypeEngine[Any]]"
) -> "pa.Table":
    """The columns named in `types` of a query, each value as the table holds it, right or wrong.

    The connection shows first whether the server lets us in: connectorx tries for half a minute.
    """
    chosen = query.with_only_columns(*(_field(name, kind) for name, kind in types.items()))
    schema = pa.schema([(name, _arrow_type(kind)) for name, kind in types.items()])
    url = connectorx_url(connection.engine.url)
    if url is None:
        return _row_by_row(connection, chosen, schema)
    found = by_connectorx(url, chosen)
    return pa.table([_cast(found[field.name], field) for field in schema], schema)


@cache
def connectorx_url(url: sa.URL) -> str | None:
    """The same server for connectorx; None where it could not be reached just as safely.

    Only two of its TLS modes verify the server, and without a mode it would not encrypt at all.
    Client certificates, and drivers that encrypt without being asked, are left to SQLAlchemy, and
    so is a password beyond ASCII, which PyMySQL sends in Latin-1 and connectorx in UTF-8.
    """
    if find_spec("connectorx") is None:  # in the dashboard's image, which reads single customers
        return None
    asked: dict[str, Any] = {k: v for k, v in url.query.items() if k not in WITHOUT_MEANING}
    options = {"tcp_connect_timeout_ms": str(CONNECT_SECONDS * 1000)}
    if set(asked) == {"unix_socket"}:
        options["socket"] = asked.pop("unix_socket")
    else:  # or it would change from a loopback address to the server's socket, as another user
        options |= {"prefer_socket": "false", **KEEP_ALIVE}
    if "ssl_ca" in asked:
        named = asbool(asked.pop("ssl_check_hostname", "true"))
        options["ssl-mode"] = "VERIFY_IDENTITY" if named else "VERIFY_CA"
        options["ssl-ca"] = asked.pop("ssl_ca")
    if asked or url.get_driver_name() != "pymysql" or not (url.password or "").isascii():
        logger.info("connectorx cannot connect as the database's URL says: rows come one by one")
        return None
    person = ":".join(quote(part, safe="") for part in (url.username, url.password) if part)
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host or "localhost"
    place = f"{host}:{url.port or PORT}/{quote(url.database or '', safe='')}"
    return f"mysql://{person}@{place}?{urlencode(options, safe='/', quote_via=quote)}"


def by_connectorx(url: str, query: "sa.Select[Any]") -> "pa.Table":
    """A query's columns as connectorx types them; its errors are made SQLAlchemy's, told alike."""
    import connectorx

    # Literal numbers and no placeholders, for which it has no values.
    in_full = {"literal_binds": True}
    statement = str(
        query.compile(dialect=mysql.dialect(paramstyle="qmark"), compile_kwargs=in_full)
    )
    try:
        return connectorx.read_sql(url, statement, return_type="arrow", pre_execution_query=SESSION)
    except RuntimeError as error:
        refused = REFUSED.search(str(error))
        kind = sa.exc.ProgrammingError if refused else sa.exc.OperationalError
        raise kind(str(query), None, error) from error  # the statement holds customer numbers
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # no Exception, and nowhere to be imported
            raise
        raise sa.exc.DataError(str(query), None, error) from error


def _row_by_row(
    connection: sa.Connection, query: "sa.Select[Any]", schema: "pa.Schema"
) -> "pa.Table":
    streaming = connection.execution_options(stream_results=True, max_row_buffer=FETCHED_ROWS)
    tables = [
        pa.table(
            [
                _cast(column, field)
                for column, field in zip(zip(*rows, strict=True), schema, strict=True)
            ],
            schema,
        )
        for rows in streaming.execute(query).partitions(FETCHED_ROWS)
    ]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _cast(values: "pa.ChunkedArray | tuple[Any, ...]", field: "pa.Field") -> "pa.ChunkedArray":
    """A column as its type; what cannot be is not shown, for an error's text goes into logs."""
    with suppress(pa.ArrowInvalid, OverflowError):
        found = pa.chunked_array([values]) if isinstance(values, tuple) else values
        return found.cast(field.type)
    raise DataError(
        "the customer table holds a number that cannot be read: expected numbers of the type "
        f"{field.type} in the column {field.name}"
    )


def _field(name: str, kind: "TypeEngine[Any]") -> "sa.ColumnElement[Any]":
    column: sa.ColumnClause[Any] = sa.column(name)
    if isinstance(kind, sa.Integer | sa.Double):
        return column
    utf8: sa.ColumnElement[Any] = sa.literal_column("utf8mb4")
    return sa.func.convert(column.op("USING")(utf8)).label(name)


def _arrow_type(kind: "TypeEngine[Any]") -> "pa.DataType":
    if isinstance(kind, sa.Integer):
        return pa.int64()
    return pa.float64() if isinstance(kind, sa.Numeric) else pa.string()
