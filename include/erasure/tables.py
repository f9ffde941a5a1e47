"""One customer's rows in the customer database."""

import re
from collections.abc import Iterable, Iterator
from datetime import date

import sqlalchemy as sa

from include.customers.contacts import TABLE as CONTACTS
from include.customers.database import database_errors, reading
from include.customers.table import TABLE as CUSTOMERS
from include.customers.table import published_contract
from include.erasure.person import Person
from include.errors import DataError
from include.history.days import snapshot_days
from include.history.tables import AS_OF, EXITS, SNAPSHOTS
from include.scoring.table import REPLACED, WORKLISTS
from include.scoring.table import TABLE as SCORES

# Also the tables of a night under way, and those that a night could not drop.
OF_NIGHTS = re.compile(rf"{SCORES}(_\d+)?({REPLACED})?|{'|'.join(WORKLISTS)}")


def erase_rows(engine: sa.Engine, person: Person) -> dict[str, int]:
    """Delete the customer's rows in one transaction; how many, by table."""
    if person.number is None:
        return {}
    days = snapshot_days(engine) if _has(engine, SNAPSHOTS) else []
    with database_errors(engine, "erase a customer's rows"):
        while True:
            names = sa.inspect(engine).get_table_names()
            try:
                places = list(_places(engine, names))
                with engine.begin() as connection:
                    return {
                        name: _erase(connection, name, column, person, days)
                        for name, column in places
                    }
            except (sa.exc.DatabaseError, sa.exc.NoSuchTableError):
                # A night that ended meanwhile has put its table in another's place.
                if sa.inspect(engine).get_table_names() == names:
                    raise


def _erase(
    connection: sa.Connection, name: str, column: str, person: Person, days: Iterable[date]
) -> int:
    table: sa.TableClause = sa.table(name, sa.column(column), sa.column(AS_OF))
    own = sa.delete(table).where(table.c[column] == person.number)
    # The key of the snapshots begins with the day: without it, all of them are read.
    each = [own.where(table.c[AS_OF] == day) for day in days] if name == SNAPSHOTS else [own]
    return sum(connection.execute(one).rowcount for one in each)


def refuse_views(engine: sa.Engine, person: Person) -> None:
    """DataError where a table is a view that has the customer: its rows are not ours."""
    if person.number is None:
        return
    with database_errors(engine, "look for views of customers"):
        places = list(_places(engine, sa.inspect(engine).get_view_names()))
        with engine.connect() as connection:
            for name, column in places:
                key: sa.ColumnClause[int] = sa.column(column)
                own = sa.select(key).select_from(sa.table(name)).where(key == person.number)
                if connection.scalar(own.limit(1)) is not None:
                    raise DataError(
                        f"{name} is a view and still has the customer: erase the rows in the table "
                        "under it first, or they bring the customer back; nothing was erased"
                    )


def notes_with(engine: sa.Engine, person: Person) -> int:
    """In how many notes on others the customer's number is written."""
    if person.number is None or not _has(engine, CONTACTS):
        return 0
    notes = sa.table(CONTACTS, sa.column("note"))
    query = sa.select(notes.c.note).where(notes.c.note.contains(str(person.number)))
    with reading(engine, CONTACTS) as connection:
        return sum(person.is_in(note) for note in connection.scalars(query))


def compact(engine: sa.Engine) -> None:
    """Leave no deleted row in SQLite's file, whose free pages keep what they held."""
    if engine.dialect.name != "sqlite":
        return
    try:
        with (
            database_errors(engine, "compact the customer database (VACUUM)"),
            engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            connection.exec_driver_sql("VACUUM")
    except DataError as error:
        raise DataError(
            f"the rows are erased, but their bytes are still in SQLite's file: {error}; let "
            "whoever reads it end, and forget the customer again"
        ) from error


def _has(engine: sa.Engine, table: str) -> bool:
    with database_errors(engine, f"look for the table {table}"):
        return sa.inspect(engine).has_table(table)


def _places(engine: sa.Engine, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each of these tables or views that holds customers, and its column of their numbers."""
    tables, key = sa.inspect(engine), published_contract().key.name
    for name in names:
        column = key if name in {CUSTOMERS, SNAPSHOTS, EXITS} else "customer"
        ours = column == key or name == CONTACTS or OF_NIGHTS.fullmatch(name)
        if ours and any(each["name"] == column for each in tables.get_columns(name)):
            yield name, column
