"""One customer's rows in the customer database."""

import re
from collections.abc import Iterator

import sqlalchemy as sa

from include.customers.contacts import TABLE as CONTACTS
from include.customers.database import database_errors
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
    found: dict[str, int] = {}
    with database_errors(engine, "erase a customer's rows"):
        places = list(_places(engine))
        with engine.begin() as connection:
            for name, column in places:
                table: sa.TableClause = sa.table(name, sa.column(column), sa.column(AS_OF))
                own = sa.delete(table).where(table.c[column] == person.number)
                # The key of the snapshots begins with the day: without it, all of them are read.
                each = (
                    [own.where(table.c[AS_OF] == d) for d in days] if name == SNAPSHOTS else [own]
                )
                found[name] = sum(connection.execute(one).rowcount for one in each)
    return found


def refuse_view(engine: sa.Engine, person: Person) -> None:
    """DataError where the customers are a view that has this one: its rows are not ours."""
    with database_errors(engine, f"look for the table {CUSTOMERS}"):
        if person.number is None or CUSTOMERS not in sa.inspect(engine).get_view_names():
            return
        key: sa.ColumnClause[int] = sa.column(published_contract().key.name)
        own = (
            sa.select(sa.func.count()).select_from(sa.table(CUSTOMERS)).where(key == person.number)
        )
        with engine.connect() as connection:
            rows = connection.scalar(own)
    if rows:
        raise DataError(
            f"{CUSTOMERS} is a view and still has the customer: erase the row in the table under "
            "it first, or tonight's scoring brings the customer back; nothing was erased"
        )


def notes_with(engine: sa.Engine, person: Person) -> int:
    """In how many notes on others the customer's number is written."""
    if person.number is None or not _has(engine, CONTACTS):
        return 0
    notes = sa.table(CONTACTS, sa.column("note"))
    query = sa.select(notes.c.note).where(notes.c.note.contains(str(person.number)))
    with database_errors(engine, f"read the table {CONTACTS}"), engine.connect() as connection:
        return sum(person.is_in(note) for note in connection.scalars(query))


def compact(engine: sa.Engine) -> None:
    """Leave no deleted row in SQLite's file, whose free pages keep what they held."""
    if engine.dialect.name != "sqlite":
        return
    with database_errors(engine, "compact the customer database (VACUUM)"):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")


def _has(engine: sa.Engine, table: str) -> bool:
    with database_errors(engine, f"look for the table {table}"):
        return sa.inspect(engine).has_table(table)


def _places(engine: sa.Engine) -> Iterator[tuple[str, str]]:
    """Each table that holds customers, and its column of their numbers."""
    tables, key = sa.inspect(engine), published_contract().key.name
    for name in tables.get_table_names():
        column = key if name in {CUSTOMERS, SNAPSHOTS, EXITS} else "customer"
        ours = column == key or name == CONTACTS or OF_NIGHTS.fullmatch(name)
        if ours and any(each["name"] == column for each in tables.get_columns(name)):
            yield name, column
