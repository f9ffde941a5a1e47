"""The first customers of any stack: are there some, and else where they come from."""

from pathlib import Path

import sqlalchemy as sa

from include.customers.database import database_errors, open_engine
from include.customers.table import TABLE, count_rows

SAMPLE_ROWS, SAMPLE_SEED = 10_000, 20


def loading_arguments(csv: Path | None) -> list[str]:
    """What `python -m include.customers` is told: to load the file, or to make some up."""
    if csv:
        return ["load", str(csv.resolve())]
    return ["sample", "--rows", str(SAMPLE_ROWS), "--seed", str(SAMPLE_SEED)]


def count_customers(database_url: str) -> int:
    """How many customers the table has; none where there is no table."""
    engine = open_engine(database_url)
    try:
        with (
            database_errors(engine, f"look for the table {TABLE}"),
            engine.connect() as connection,
        ):
            if not sa.inspect(connection).has_table(TABLE):
                return 0
            return count_rows(connection)
    finally:
        engine.dispose()
