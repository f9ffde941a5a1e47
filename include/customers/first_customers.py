"""The first customers of any stack: where they come from, what they are, and that none mix."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.customers.database import database_errors, opened, reading, shown_url
from include.customers.table import IN_MYSQL, TABLE, count_rows, published_contract
from include.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS, SAMPLE_SEED = 10_000, 20
SOURCE_TABLE = "churners_source"
ROWS_ONLY = "--rows-only"  # of the loaders: for output that is kept
SHOWN_DIGITS = 12
WAY_OUT = (
    "Nothing was loaded. On this machine `make run CSV=… REPLACE=1` puts a file in the place of "
    "customers that the stack made up, and trains anew; another CHURN_VAR_DIR keeps both; `make "
    "clean-data` deletes all that the stack holds, in containers `make down ARGS=--volumes` (which "
    "leaves a bucket or a database elsewhere as it is: docs/aws.md, Your own customers)"
)


@dataclass(frozen=True)
class Source:
    """What a table was filled from: a file, or nothing but chance."""

    name: str  # empty for made-up customers
    sha256: str = ""
    loaded_at: datetime | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return (
            f"from {self.name} (sha256 {self.sha256[:SHOWN_DIGITS]}…)" if self.name else "made up"
        )

    def holds(self, csv: Path) -> bool:
        """Whether it is a file with just that content, whatever its name."""
        return self.sha256 == source_of(csv).sha256


MADE_UP = Source("")


def source_of(csv: Path) -> Source:
    """A file's name and the hash of its content; DataError when it cannot be read."""
    try:
        with csv.open("rb") as file:
            return Source(csv.name, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise DataError(f"cannot read {csv}: {error.strerror}. Check its owner and mode") from error


def loading_arguments(csv: Path | None) -> list[str]:
    """What `python -m include.customers` is told: to load the file alone, or to make some up."""
    if csv:
        return ["load", str(csv.resolve()), "--alone", ROWS_ONLY]
    return ["sample", "--rows", str(SAMPLE_ROWS), "--seed", str(SAMPLE_SEED)]


def look_at_customers(database_url: str) -> tuple[int, Source | None]:
    """How many customers there are, and what they are where this project put them there."""
    with opened(database_url) as engine:
        return known_customers(engine)


def known_customers(engine: sa.Engine) -> tuple[int, Source | None]:
    """The same from an open engine; no customers where there is no table."""
    with database_errors(engine, f"look for the table {TABLE}"), engine.connect() as connection:
        tables = sa.inspect(connection)
        rows = count_rows(connection) if tables.has_table(TABLE) else 0
        known = rows > 0 and tables.has_table(SOURCE_TABLE)
        return rows, _read_source(connection) if known else None


def refuse_to_fill(database_url: str) -> None:
    """DataError where a table stands empty that this project never filled: before a bank's load."""
    with opened(database_url) as engine, database_errors(engine, f"look for the table {TABLE}"):
        tables = sa.inspect(engine)
        anothers = tables.has_table(TABLE) and not tables.has_table(SOURCE_TABLE)
    if anothers:
        raise DataError(
            f"the table {TABLE} in {shown_url(engine)} is empty, and this stack did not make it: "
            "made-up customers would lie beside those that come. Load yours and start again; where "
            "made-up ones are wanted, drop the table"
        )


def refuse_mixing(engine: sa.Engine, customers: "pd.DataFrame", source: Source) -> None:
    """DataError when a file's customers would come to lie beside others that are not in it."""
    rows, known = known_customers(engine)
    if rows and known == MADE_UP:
        raise DataError(f"the table {TABLE} holds {rows:,} made-up customers. {WAY_OUT}")
    key = published_contract().key.name
    numbers: sa.ColumnClause[Any] = sa.column(key)
    with reading(engine, TABLE) as connection:
        stored = set(connection.scalars(sa.select(numbers).select_from(sa.table(TABLE))))
    if others := stored.difference(customers[key].tolist()):
        was = f", which were loaded {known}," if known else ""
        raise DataError(
            f"{len(others):,} of the {rows:,} customers in the table {TABLE}{was} are not in "
            f"{source.name}: two populations would mix. {WAY_OUT}"
        )


def record_source(engine: sa.Engine, source: Source | None, now: datetime) -> None:
    """Keep what the table was filled from; None forgets it: the customers are of several kinds."""
    table = _source_table()
    with database_errors(engine, f"write the table {SOURCE_TABLE}"), engine.begin() as connection:
        table.metadata.create_all(connection)
        connection.execute(table.delete())
        if source:
            moment = now.replace(tzinfo=None, microsecond=0)
            row = {"name": source.name, "sha256": source.sha256, "loaded_at": moment}
            connection.execute(table.insert().values(row))


def _read_source(connection: sa.Connection) -> Source | None:
    table = _source_table()
    row: Any = connection.execute(sa.select(table)).first()
    return Source(row.name, row.sha256, row.loaded_at.replace(tzinfo=UTC)) if row else None


def _source_table() -> sa.Table:
    """One row, which lies beside the customers: whoever moves these moves it along."""
    return sa.Table(
        SOURCE_TABLE,
        sa.MetaData(),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("loaded_at", sa.DateTime, nullable=False),
        **IN_MYSQL,
    )
