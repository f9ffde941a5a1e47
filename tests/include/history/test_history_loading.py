from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from include.customers.sample import sample_customers
from include.errors import DataError
from include.history.loading import create_history_tables, write_exits, write_snapshot
from include.history.tables import exits_table, snapshots_table

JANUARY, FEBRUARY = date(2026, 1, 31), date(2026, 2, 28)
LOADED = datetime(2026, 2, 1, 3, tzinfo=UTC)


@pytest.fixture
def engine(engine: sa.Engine) -> sa.Engine:
    create_history_tables(engine)
    return engine


def customers(rows: int, *, seed: int = 1) -> pd.DataFrame:
    return sample_customers(rows, seed=seed).drop(columns="Attrition_Flag")


def write(
    engine: sa.Engine, frame: pd.DataFrame, as_of: date = JANUARY, loaded_at: datetime = LOADED
) -> int:
    return write_snapshot(engine, frame, as_of=as_of, loaded_at=loaded_at)


def stored(engine: sa.Engine, table: sa.Table) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(table).order_by(*table.primary_key)))


def exits(*rows: tuple[int, str, str, bool | None]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["CLIENTNUM", "left_on", "known_at", "voluntary"])
    return frame.assign(known_at=pd.to_datetime(frame["known_at"], utc=True, format="ISO8601"))


def test_the_table_gives_back_a_month(engine: sa.Engine) -> None:
    people = customers(50)
    assert write(engine, people.sample(frac=1, random_state=1)) == len(people)
    found = stored(engine, snapshots_table())
    assert [tuple(row)[1:-1] for row in found] == list(people.itertuples(index=False, name=None))
    assert {(row.as_of, row.loaded_at) for row in found} == {(JANUARY, LOADED.replace(tzinfo=None))}


def test_a_month_grows_and_never_changes(engine: sa.Engine) -> None:
    people = customers(50)
    write(engine, people[:30])
    assert write(engine, people, loaded_at=LOADED + timedelta(days=9)) == 20
    assert write(engine, people) == 0
    assert {row.loaded_at.day for row in stored(engine, snapshots_table())[:30]} == {1}


def test_other_values_for_a_stored_customer_are_refused(engine: sa.Engine) -> None:
    people = customers(30)
    write(engine, people[:20])
    changed = people.assign(Customer_Age=people["Customer_Age"].where(people.index != 3, 99))
    with pytest.raises(DataError, match="2026-01-31 .* 1 customers; nothing was"):
        write(engine, changed)
    assert len(stored(engine, snapshots_table())) == 20


def test_the_same_customers_are_other_rows_in_another_month(engine: sa.Engine) -> None:
    assert write(engine, customers(5)) + write(engine, customers(5), FEBRUARY) == 10


def test_exits_become_better_known(engine: sa.Engine) -> None:
    first = exits((1, "2026-01-05", "2026-01-09T12:00Z", None), (2, "2026-01-06", LATE, True))
    assert write_exits(engine, first) == 2
    better = exits((1, "2026-01-04", "2026-01-09T12:00Z", False), (2, "2026-01-06", LATE, True))
    assert write_exits(engine, better) == 1
    assert [tuple(row) for row in stored(engine, exits_table())] == [
        (1, date(2026, 1, 4), datetime(2026, 1, 9, 12), False),
        (2, date(2026, 1, 6), datetime(2026, 2, 1, 3, 0, 0, 5), True),
    ]


LATE = "2026-02-01T04:00:00.000005+01:00"
