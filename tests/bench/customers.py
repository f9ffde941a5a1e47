"""Made-up customers in any number, in the table that a benchmark reads."""

from datetime import UTC, datetime

from sqlalchemy import Engine

from include.customers import loading
from include.customers.sample import sample_customers

FIRST_KEY = 700_000_001
LOADED_AT_ONCE = 250_000


def load_made_up(engine: Engine, rows: int) -> None:
    """Make the table and fill it, a part at a time."""
    loading.create_table(engine)
    for first in range(FIRST_KEY, FIRST_KEY + rows, LOADED_AT_ONCE):
        some = min(LOADED_AT_ONCE, FIRST_KEY + rows - first)
        frame = sample_customers(some, seed=first, first_key=first)
        loading.load_customers(engine, frame, now=datetime.now(UTC))
