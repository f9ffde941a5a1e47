"""The way to the customer database: an engine with time-outs, and its errors in plain words."""

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from include.customers.database_options import unknown_options
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
SETTING = "CHURN_DATABASE_URL (in Airflow the connection churn_db)"

_SESSION: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "read_timeout": ANSWER_SECONDS,
    "write_timeout": ANSWER_SECONDS,
}
_DRIVER_SETTINGS: dict[str, dict[str, Any]] = {
    "pysqlite": {"timeout": LOCKED_SECONDS},
    "pymysql": _SESSION,
    "mysqldb": _SESSION,
    "mysqlconnector": {"connection_timeout": CONNECT_SECONDS},
}

_RIGHTS = (
    "The user lacks a right: let an administrator GRANT SELECT, INSERT, UPDATE, CREATE, INDEX "
    "(for `make forget` DELETE, too) on the database to it"
)
_COLUMN = (
    "A table that was made before include/config/schema.yaml or this release had the column: ALTER "
    "TABLE … ADD COLUMN it"
)
CR_SERVER_HANDSHAKE_ERR = 2012
# What drivers raise over words that are no MySQL's, such as a web server's or noise.
NO_MYSQL = (struct.error, IndexError, AssertionError)
_NO_ANSWER = range(2000, 3000)  # by the client, not the server; one driver has no class for them
# What no wait mends, though drivers file it under operational errors: MySQL's numbers, SQLite's
# words. https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
_LASTING: dict[int | str, str] = {
    **dict.fromkeys((1044, 1142, 1143, 1227), _RIGHTS),
    **dict.fromkeys((1045, 1698), f"Check the user and the password of {SETTING}"),
    1049: f"Check the name of the database in {SETTING}, or CREATE DATABASE",
    1288: "It is a view that nothing can be written through: write to the table under it",
    "no such table": "",
    **dict.fromkeys((1054, "no such column", "has no column named"), _COLUMN),
    "readonly": "Let this user write to the file and to its directory",
    "unable to open": "Make its directory, let this user read and write there, and see that its "
    "disk is not full",
    "is a view": "Nothing can be written through a view: write to the table under it",
}


def open_engine(url: str, *, answer_seconds: int = ANSWER_SECONDS) -> sa.Engine:
    """An engine for SQLite or MySQL with time-outs; ConfigurationError when the URL cannot work.

    `answer_seconds` bounds the wait for each packet of an answer, by drivers that can.
    """
    parsed = parse_url(url)
    try:
        settings = dict(_DRIVER_SETTINGS.get(parsed.get_dialect().driver, {}))
        if "read_timeout" in settings:
            settings |= dict.fromkeys(("read_timeout", "write_timeout"), answer_seconds)
        wanted = {name: value for name, value in settings.items() if name not in parsed.query}
        # hide_parameters: an error must not carry whole batches of customers into a log.
        engine = sa.create_engine(
            parsed, connect_args=wanted, pool_pre_ping=True, hide_parameters=True
        )
    except (sa.exc.ArgumentError, ImportError, ValueError) as error:
        raise _unusable(str(error)) from error
    if engine.dialect.name not in {"sqlite", "mysql", "mariadb"} or engine.dialect.is_async:
        raise ConfigurationError(
            "CHURN_DATABASE_URL must be a database of SQLite or MySQL, by a driver that is not "
            f"asynchronous, found {shown_url(engine)}"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise _unusable(f"{shown_url(engine)} names no database to keep customers in")
    unknown = unknown_options(engine)
    if unknown:
        raise ConfigurationError(f"{SETTING}: {unknown}")
    sa.event.listen(engine, "do_connect", _connection_by(engine.url))
    return engine


@contextmanager
def opened(url: str) -> Iterator[sa.Engine]:
    """The same for as long as the block lasts."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


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


def _unusable(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"CHURN_DATABASE_URL must be {EXPECTED} with an installed driver: {reason}"
    )


def _connection_by(url: sa.URL) -> Callable[..., Any]:
    """Connects; a driver refuses its options by errors that SQLAlchemy takes for a programmer's."""

    def connect(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
        try:
            connection = dialect.connect(*arguments, **options)
        except (TypeError, ValueError, AttributeError, OSError) as error:
            raise ConfigurationError(
                f"the driver {dialect.driver} cannot use the options of {SETTING}, which are "
                f"{', '.join(url.query) or 'none'}: {error}"
            ) from error
        except (*NO_MYSQL, dialect.loaded_dbapi.InternalError) as error:
            raise dialect.loaded_dbapi.OperationalError(
                CR_SERVER_HANDSHAKE_ERR, "what answers there is no MySQL, or was cut off"
            ) from error
        if dialect.name != "sqlite":  # whatever init_command a URL has
            with closing(connection.cursor()) as cursor:
                cursor.execute(UTC_SESSION)
        return connection

    return connect


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
        reason, advice = VALUE.sub(r"\1 ***", said), _lasting(error)
        kind = DatabaseUnavailable if advice is None and _is_passing(error) else DataError
        advice = advice or f"Check that the database runs and what {SETTING} says"
        raise kind(f"could not {doing} in {shown_url(engine)}: {reason}. {advice}") from (
            error if reason == said else None
        )


@contextmanager
def reading(engine: sa.Engine, table: str) -> Iterator[sa.Connection]:
    """A connection to read a table with; an error names the table."""
    with database_errors(engine, f"read the table {table}"), engine.connect() as connection:
        yield connection


def _is_passing(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether the database may answer rightly when it is asked again."""
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, sa.exc.OperationalError) or _code(error) in _NO_ANSWER


def _lasting(error: sa.exc.SQLAlchemyError) -> str | None:
    """What mends an error that no wait does; None for any other."""
    words, code = str(getattr(error, "orig", None)), _code(error)
    signs = (s for s in _LASTING if s == code or (isinstance(s, str) and s in words))
    return next((_LASTING[sign] for sign in signs), None)


def _code(error: sa.exc.SQLAlchemyError) -> int | None:
    """MySQL's number of an error, as drivers begin their words with it, or as connectorx has it."""
    found = re.match(r"\(?(\d{4})\b|.*?ERROR (\d{4}) \(", str(getattr(error, "orig", None)))
    return int(found[1] or found[2]) if found else None
