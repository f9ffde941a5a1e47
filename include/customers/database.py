"""The way to the customer database: an engine with time-outs, and its errors in plain words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from include.errors import ConfigurationError, DatabaseUnavailable, DataError, without_password

EXPECTED = (
    "a SQLAlchemy URL such as sqlite:////directory/churn.db or "
    "mysql+pymysql://user:password@host/database"
)
REASON_CHARACTERS = 300
# A customer's, in MySQL's "Duplicate entry '708082083'" and "Incorrect integer value: 'none'".
VALUE = re.compile(r"\b(entry|value:?) '[^']*'", re.IGNORECASE)
CONNECT_SECONDS = 5
ANSWER_SECONDS = 300  # between two packets of an answer
UTC_SESSION = "SET time_zone = '+00:00'"  # a bank's own TIMESTAMP column is printed in it
LOCKED_SECONDS = 30  # SQLite: how long one process waits for another that writes

_SESSION: dict[str, Any] = {
    "init_command": UTC_SESSION,
    "connect_timeout": CONNECT_SECONDS,
    "read_timeout": ANSWER_SECONDS,
    "write_timeout": ANSWER_SECONDS,
}
_DRIVER_SETTINGS: dict[str, dict[str, Any]] = {
    "pysqlite": {"timeout": LOCKED_SECONDS},
    "pymysql": _SESSION,
    "mysqldb": _SESSION,
    "mysqlconnector": {"connection_timeout": CONNECT_SECONDS, "time_zone": "+00:00"},
}


def open_engine(url: str) -> sa.Engine:
    """An engine for SQLite or MySQL with time-outs; ConfigurationError when the URL cannot work."""
    parsed = parse_url(url)
    try:
        settings = _DRIVER_SETTINGS.get(parsed.get_dialect().driver, {})
        wanted = {name: value for name, value in settings.items() if name not in parsed.query}
        # hide_parameters: an error must not carry whole batches of customers into a log.
        engine = sa.create_engine(
            parsed, connect_args=wanted, pool_pre_ping=True, hide_parameters=True
        )
    except (sa.exc.ArgumentError, ImportError) as error:
        raise ConfigurationError(
            f"CHURN_DATABASE_URL must be {EXPECTED} with an installed driver: {error}"
        ) from error
    if engine.dialect.name not in {"sqlite", "mysql", "mariadb"}:
        raise ConfigurationError(
            f"CHURN_DATABASE_URL must be a database of SQLite or MySQL, found {shown_url(engine)}"
        )
    return engine


def parse_url(url: str) -> sa.URL:
    """The parts of a database's URL; ConfigurationError, without its password, when it has none."""
    with suppress(sa.exc.ArgumentError, ValueError):  # whose texts may hold half a password
        parsed = sa.make_url(url)
        after_password = url.partition("://")[2].partition(":")[2].partition("@")[2]
        if parsed.host is None or "@" not in after_password:
            return parsed
    raise ConfigurationError(
        f"CHURN_DATABASE_URL must be {EXPECTED}, with %40 for an @ in the password, %2F for a / "
        f"and %3A for a :. Found {without_password(url)}"
    )


def shown_url(engine: sa.Engine) -> str:
    """The database's URL without its password."""
    return without_password(engine.url.render_as_string(hide_password=True))


@contextmanager
def database_errors(engine: sa.Engine, doing: str) -> Iterator[None]:
    """Let the block fail with a DataError that says what could not be done, where and why."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error)[:REASON_CHARACTERS]
        reason = VALUE.sub(r"\1 ***", said)
        kind = DatabaseUnavailable if _is_passing(error) else DataError
        raise kind(
            f"could not {doing} in {shown_url(engine)}: {reason}. Check that the database runs and "
            "what CHURN_DATABASE_URL (in Airflow the connection churn_db) says"
        ) from (error if reason == said else None)


@contextmanager
def reading(engine: sa.Engine, table: str) -> Iterator[sa.Connection]:
    """A connection to read a table with; an error names the table."""
    with database_errors(engine, f"read the table {table}"), engine.connect() as connection:
        yield connection


def _is_passing(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether the database may answer rightly when it is asked again."""
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    if not isinstance(error, sa.exc.OperationalError):
        return False
    # SQLite files a missing table under operational errors, and no wait brings one.
    return not any(missing in str(error) for missing in ("no such table", "no such column"))
