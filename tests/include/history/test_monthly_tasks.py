"""The tasks of `churn_snapshot` over months that pass."""

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from include.contract import load_contract
from include.customers.sample import sample_customers
from include.errors import DataError
from include.history.record_exits import record_exits
from include.history.run import HistoryRun
from include.history.snapshot_customers import Snapshot, snapshot_customers
from include.history.tables import exits_table, snapshots_table
from tests.include.banks import bank_of

MARCH, APRIL, JULY = (datetime(2026, month, 3, 2, 30, tzinfo=UTC) for month in (3, 4, 7))
ROWS = 200


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    engine = bank_of(database_url, sample_customers(ROWS, seed=1), now=now)
    yield engine
    engine.dispose()


def execute(engine: sa.Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(statement))


def rows(engine: sa.Engine, query: Any) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(query))


def leave(engine: sa.Engine, key: int, labelled_at: str) -> None:
    execute(
        engine,
        f"UPDATE churners SET Attrition_Flag = 'Attrited Customer', labelled_at = {labelled_at}"
        f" WHERE CLIENTNUM = {key}",
    )


def active(engine: sa.Engine) -> list[Any]:
    features = ", ".join(load_contract().feature_names)
    return rows(
        engine,
        sa.text(
            f"SELECT CLIENTNUM, {features} FROM churners WHERE Attrition_Flag IS NULL"
            " OR Attrition_Flag = 'Existing Customer' ORDER BY CLIENTNUM"
        ),
    )


def test_a_snapshot_holds_the_features_of_whoever_is_active(engine: sa.Engine) -> None:
    execute(engine, "UPDATE churners SET Attrition_Flag = NULL WHERE Customer_Age < 35")
    there = active(engine)
    done = snapshot_customers(HistoryRun(engine, MARCH))
    assert done == Snapshot(date(2026, 3, 3), len(there), is_new=True, missed_months=[])
    found = rows(engine, sa.select(snapshots_table()))
    assert [row[1:-1] for row in found] == there and 0 < len(there) < ROWS
    assert {(row.as_of, row.loaded_at) for row in found} == {
        (MARCH.date(), MARCH.replace(tzinfo=None))
    }


def test_a_month_has_one_snapshot(engine: sa.Engine) -> None:
    first = snapshot_customers(HistoryRun(engine, MARCH))
    execute(engine, "DELETE FROM churners WHERE Customer_Age < 45")
    again = snapshot_customers(HistoryRun(engine, MARCH.replace(day=31)))
    assert again == Snapshot(first.as_of, first.customers, is_new=False, missed_months=[])
    assert len(rows(engine, sa.select(snapshots_table()))) == first.customers


def test_a_missed_month_is_named(engine: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
    snapshot_customers(HistoryRun(engine, MARCH))
    snapshot_customers(HistoryRun(engine, APRIL))
    with caplog.at_level(logging.WARNING):
        assert snapshot_customers(HistoryRun(engine, JULY)).missed_months == ["2026-05", "2026-06"]
    assert "no snapshot was taken in 2026-05, 2026-06" in caplog.text


def test_a_table_without_a_feature_is_refused(engine: sa.Engine) -> None:
    execute(engine, "ALTER TABLE churners DROP COLUMN Gender")
    with pytest.raises(DataError, match="lacks Gender: a snapshot needs"):
        snapshot_customers(HistoryRun(engine, MARCH))


def test_a_snapshot_table_from_before_a_column_is_told_how_to_get_it(engine: sa.Engine) -> None:
    snapshot_customers(HistoryRun(engine, MARCH))
    execute(engine, "ALTER TABLE churner_snapshots DROP COLUMN Gender")
    with pytest.raises(DataError, match=r"Gender\b.*schema.yaml.*ADD COLUMN it") as caught:
        snapshot_customers(HistoryRun(engine, APRIL))
    assert type(caught.value) is DataError  # and no failure that passes


def test_who_was_active_and_is_labelled_since_has_left_that_day(engine: sa.Engine) -> None:
    first, second, *_ = (row[0] for row in active(engine))
    snapshot_customers(HistoryRun(engine, MARCH))
    leave(engine, first, "'2026-03-20 23:30:00'")
    leave(engine, second, "NULL")  # by the bank's own UPDATE
    assert record_exits(HistoryRun(engine, APRIL)).exits == 2
    assert [tuple(row) for row in rows(engine, sa.select(exits_table()))] == [
        (first, date(2026, 3, 20), datetime(2026, 3, 20, 23, 30), None),
        (second, APRIL.date(), APRIL.replace(tzinfo=None), None),
    ]


def test_who_left_in_the_early_hours_of_a_snapshots_day_is_in_the_one_before(
    engine: sa.Engine,
) -> None:
    key = active(engine)[0][0]
    snapshot_customers(HistoryRun(engine, MARCH))
    leave(engine, key, "'2026-04-03 01:00:00'")
    snapshot_customers(HistoryRun(engine, APRIL))
    snapshot_customers(HistoryRun(engine, JULY))
    assert record_exits(HistoryRun(engine, JULY)).exits == 1
    assert rows(engine, sa.select(exits_table().c.left_on)) == [(APRIL.date(),)]


def test_a_label_counts_however_many_snapshots_came_before_it(engine: sa.Engine) -> None:
    late, texts = (row[0] for row in active(engine)[:2])
    for now in (MARCH, APRIL, JULY):
        snapshot_customers(HistoryRun(engine, now))
    thin = f"CLIENTNUM IN ({late}, {texts}) AND as_of > '{MARCH.date()}'"
    execute(engine, f"DELETE FROM churner_snapshots WHERE {thin}")
    leave(engine, late, "'2026-05-20 12:00:00'")
    leave(engine, texts, "'2026-07-03T01:00:00'")  # SQLite keeps a bank's own form
    assert record_exits(HistoryRun(engine, JULY)).exits == 2
    days = rows(engine, sa.select(exits_table().c.left_on).order_by(exits_table().c.CLIENTNUM))
    assert days == [(date(2026, 5, 20),), (JULY.date(),)]


def test_the_bank_may_label_customers_while_exits_are_noted(engine: sa.Engine) -> None:
    snapshot_customers(HistoryRun(engine, MARCH))
    levels = []

    def note(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO churner_exits"):
            levels.append(connection.get_isolation_level())

    sa.event.listen(engine, "before_cursor_execute", note)
    record_exits(HistoryRun(engine, APRIL))
    # MySQL's next level locks what INSERT … SELECT reads; SQLite has one writer at a time anyway
    assert levels == ["SERIALIZABLE" if engine.dialect.name == "sqlite" else "READ COMMITTED"]


def test_an_exit_that_is_known_stays(engine: sa.Engine) -> None:
    key = active(engine)[0][0]
    snapshot_customers(HistoryRun(engine, MARCH))
    leave(engine, key, "'2026-03-20 12:00:00'")
    record_exits(HistoryRun(engine, APRIL))
    execute(engine, "UPDATE churner_exits SET left_on = '2026-03-11'")
    assert record_exits(HistoryRun(engine, JULY)).exits == 0
    assert rows(engine, sa.select(exits_table().c.left_on)) == [(date(2026, 3, 11),)]


def test_who_left_before_the_first_snapshot_is_no_exit(engine: sa.Engine) -> None:
    snapshot_customers(HistoryRun(engine, MARCH))
    assert record_exits(HistoryRun(engine, MARCH)).exits == 0


def test_without_moments_of_labels_nothing_is_noted(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    execute(engine, "DROP INDEX churners_labelled" + on_mysql(engine))
    execute(engine, "ALTER TABLE churners DROP COLUMN labelled_at")
    assert record_exits(HistoryRun(engine, MARCH)).exits == 0
    assert "no exit can be noted: churners has no labels with their moments" in caplog.text


def on_mysql(engine: sa.Engine) -> str:
    return "" if engine.dialect.name == "sqlite" else " ON churners"
