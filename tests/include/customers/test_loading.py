import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contract import load_contract
from include.customers import labels, loading, queries
from include.customers import rows as customer_rows
from include.customers.csv_file import read_csv_customers
from include.customers.database import open_engine, opened
from include.customers.sample import sample_customers
from include.errors import DataError
from tests.include.records import csv_text, customer

NOW = datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
EARLIER = datetime(2026, 11, 1, tzinfo=UTC)
PUBLISHED = [c.name for c in load_contract().columns if c.role != "labelled_at"]


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    with opened(database_url) as engine:
        loading.create_table(engine)
        yield engine


def frame(*rows: dict[str, object]) -> pd.DataFrame:
    return read_csv_customers(csv_text(*rows).encode(), load_contract())


def load(engine: sa.Engine, *rows: dict[str, object], now: datetime = NOW) -> Any:
    return loading.load_customers(engine, frame(*rows), now=now)


def table(engine: sa.Engine, *, labelled_only: bool = False) -> pd.DataFrame:
    return queries.read_customers(engine, load_contract(), labelled_only=labelled_only)


def moments(engine: sa.Engine) -> dict[int, datetime | None]:
    found = table(engine)
    values = found["labelled_at"].astype(object).where(found["labelled_at"].notna(), None)
    return dict(zip(found["CLIENTNUM"].tolist(), values, strict=True))


def execute(engine: sa.Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


# --- loading


def test_nobody_else_comes_to_a_file_that_is_made(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'var' / 'churn.db'}") as made:
        loading.create_table(made)
    assert (tmp_path / "var" / "churn.db").exists()
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700


def test_a_load_counts_what_it_did(engine: sa.Engine) -> None:
    load(engine, customer(1), customer(2), customer(3))
    done = load(engine, customer(2, Customer_Age=50), customer(3), customer(4, Attrition_Flag=""))
    assert done == loading.LoadSummary(inserted=1, updated=1, unchanged=1, unlabelled=1)


def test_the_table_gives_back_what_was_loaded(engine: sa.Engine) -> None:
    loaded = frame(customer(2, labelled_at=NOW), customer(1, Gender="F", labelled_at=LATER))
    loading.load_customers(engine, loaded, now=LATER)
    expected = loaded.sort_values("CLIENTNUM", ignore_index=True)
    pd.testing.assert_frame_equal(table(engine), expected)


def test_both_databases_give_the_same_types(sqlite_url: str, mariadb_url: str) -> None:
    found = []
    for url in (sqlite_url, mariadb_url):
        with opened(url) as engine:
            loading.create_table(engine)
            load(engine, customer(1), customer(2, Attrition_Flag="", Credit_Limit=1e-17))
            found.append(table(engine))
    pd.testing.assert_frame_equal(*found)


LABELLED = {"Attrition_Flag": "Existing Customer"}
UNLABELLED = {"Attrition_Flag": ""}


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        pytest.param(LABELLED, {}, NOW, id="same"),
        pytest.param(LABELLED, {"Customer_Age": 46}, NOW, id="other values"),
        pytest.param(LABELLED, {"Attrition_Flag": "Attrited Customer"}, LATER, id="other label"),
        pytest.param(LABELLED, UNLABELLED, None, id="label withdrawn"),
        pytest.param(UNLABELLED, LABELLED, LATER, id="label comes later"),
        pytest.param(UNLABELLED, UNLABELLED, None, id="never a label"),
        pytest.param(LABELLED, {"labelled_at": "2026-11-01"}, EARLIER, id="date given"),
        pytest.param(LABELLED, UNLABELLED | {"labelled_at": "2026-11-01"}, None, id="date alone"),
    ],
)
def test_labelled_at_moves_only_with_the_label(
    first: dict[str, object],
    then: dict[str, object],
    expected: datetime | None,
    engine: sa.Engine,
) -> None:
    load(engine, customer(1, **first))
    load(engine, customer(1, **then), now=LATER)
    assert moments(engine) == {1: expected}


def test_a_date_in_the_future_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(DataError, match="1 customers have a labelled_at in the future.*make check"):
        load(engine, customer(77, labelled_at=LATER), now=NOW)


def test_a_failure_half_way_leaves_the_table_as_it_was(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(engine, customer(1))
    raising = {
        "sqlite": "WHEN NEW.CLIENTNUM = 9 BEGIN SELECT RAISE(ABORT, 'stop'); END",
        "mysql": "FOR EACH ROW IF NEW.CLIENTNUM = 9 THEN SIGNAL SQLSTATE '45000'"
        " SET MESSAGE_TEXT = 'stop'; END IF",
    }
    execute(engine, f"CREATE TRIGGER t BEFORE INSERT ON churners {raising[engine.dialect.name]}")
    monkeypatch.setattr(customer_rows, "WRITE_ROWS", 1)
    with pytest.raises(DataError, match="could not write the table churners in .*: .*stop"):
        load(engine, customer(1, Customer_Age=99), customer(2), customer(9))
    assert table(engine)["Customer_Age"].tolist() == [45]


def test_loading_in_many_batches_loses_nothing(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customer_rows, "WRITE_ROWS", 7)
    monkeypatch.setattr(customer_rows, "READ_ROWS", 9)
    done = load(engine, *(customer(key) for key in range(100, 0, -1)))
    assert done.inserted == 100
    assert table(engine)["CLIENTNUM"].tolist() == list(range(1, 101))


# --- reading


PLAIN = pd.DataFrame([customer(key) for key in range(1, 21)])


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=20)
def test_every_value_survives_the_table(engine: sa.Engine, values: list[tuple[float, str]]) -> None:
    execute(engine, "DELETE FROM churners")
    numbers, texts = zip(*values, strict=True)
    rows = PLAIN.head(len(values)).assign(Credit_Limit=numbers, Gender=texts)
    loading.load_customers(engine, rows, now=NOW)
    found = table(engine)[["Credit_Limit", "Gender"]]
    assert list(found.itertuples(index=False, name=None)) == values


def test_an_empty_table_has_its_columns(engine: sa.Engine) -> None:
    found = table(engine)
    assert list(found) == [column.name for column in load_contract().columns]
    assert len(found) == 0


def test_only_columns_of_the_contract_are_read_as_far_as_they_are_there(engine: sa.Engine) -> None:
    load(engine, customer())
    execute(engine, "ALTER TABLE churners DROP COLUMN Gender")
    execute(engine, "ALTER TABLE churners ADD COLUMN surname VARCHAR(20)")
    assert load_contract().missing_columns(table(engine)) == ["Gender"]
    assert "surname" not in table(engine)


@pytest.mark.parametrize("value", ["NULL", "'old'"])
def test_wrong_values_are_read_for_the_contract_to_name(engine: sa.Engine, value: str) -> None:
    if engine.dialect.name == "mysql":
        execute(engine, "ALTER TABLE churners MODIFY Customer_Age VARCHAR(10)")
    load(engine, customer(1), customer(2))
    execute(engine, f"UPDATE churners SET Customer_Age = {value} WHERE CLIENTNUM = 2")
    check = load_contract().check_frame(table(engine))
    assert ("Customer_Age", 1) in set(
        zip(check.faults["column"], check.faults["position"], strict=True)
    )


def test_a_date_that_is_none_is_read_for_the_contract_to_name(sqlite_url: str) -> None:
    with opened(sqlite_url) as engine:
        loading.create_table(engine)
        load(engine, customer(1), customer(2))
        execute(engine, "UPDATE churners SET labelled_at = 'soon' WHERE CLIENTNUM = 2")
        assert load_contract().check_frame(table(engine)).faults["found"].tolist() == ["'soon'"]


def test_a_missing_sqlite_file_is_named_and_not_made(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(DataError, match="no database sqlite:.*none.db: load customers with"):
        table(engine)
    assert not (tmp_path / "none.db").exists()


def test_a_missing_table_is_named(engine: sa.Engine) -> None:
    execute(engine, "DROP TABLE churners")
    with pytest.raises(DataError, match=r"no table churners in .*: load customers with"):
        queries.table_counts(engine)


def test_a_table_that_went_away_is_not_asked_again(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect():  # SQLite's file
        pass
    with pytest.raises(DataError, match="could not read the table churners") as failed:
        with queries.reading(engine, "churners") as connection:
            connection.exec_driver_sql("SELECT * FROM churners")
    assert type(failed.value) is DataError
    engine.dispose()


# --- a bank's own table


def refusal(engine: sa.Engine) -> str:
    with pytest.raises(DataError) as refused:
        load(engine, customer(1), customer(2))
    assert type(refused.value) is DataError
    return str(refused.value)


def test_a_table_without_a_key_is_refused_with_what_mends_it(database_url: str) -> None:
    engine = open_engine(database_url)
    frame(customer(1), customer(2)).to_sql("churners", engine, index=False)
    told = refusal(engine)
    statement = {
        "sqlite": "CREATE UNIQUE INDEX churners_key ON churners (CLIENTNUM)",
        "mysql": "ALTER TABLE churners ADD PRIMARY KEY (CLIENTNUM)",
    }[engine.dialect.name]
    assert f"a second load would double its customers: {statement}; where" in told
    assert len(table(engine)) == 2
    execute(engine, statement)
    load(engine, customer(2), customer(3))
    assert table(engine)["CLIENTNUM"].tolist() == [1, 2, 3]
    engine.dispose()


@pytest.mark.parametrize("key", ["PRIMARY KEY (id)", "PRIMARY KEY (id, CLIENTNUM)"])
def test_a_key_of_something_else_is_none_and_a_unique_index_is_one(
    engine: sa.Engine, key: str
) -> None:
    execute(engine, "DROP TABLE churners")
    rest = ", ".join(f"{n} VARCHAR(99)" for n in [*PUBLISHED[1:], "labelled_at"])
    execute(engine, f"CREATE TABLE churners (id INT DEFAULT 7, CLIENTNUM BIGINT, {rest}, {key})")
    statement = "CREATE UNIQUE INDEX churners_key ON churners (CLIENTNUM)"
    assert f"customers: {statement};" in refusal(engine)
    execute(engine, statement)
    load(engine, customer(1))


def test_a_column_that_is_missing_is_refused_with_what_mends_it(engine: sa.Engine) -> None:
    execute(engine, "DROP INDEX churners_labelled" + sqlite_or(engine, "", " ON churners"))
    execute(engine, "ALTER TABLE churners DROP COLUMN labelled_at")
    statement = "ALTER TABLE churners ADD COLUMN labelled_at DATETIME"
    assert f"customers: {statement}{sqlite_or(engine, '', '(6)')}; where" in refusal(engine)


def sqlite_or(engine: sa.Engine, sqlite: str, other: str) -> str:
    return sqlite if engine.dialect.name == "sqlite" else other


def test_a_view_is_read_and_not_loaded_into(engine: sa.Engine) -> None:
    load(engine, customer(1), customer(2, Attrition_Flag=""))
    execute(engine, "ALTER TABLE churners RENAME TO people")
    execute(engine, "CREATE VIEW churners AS SELECT DISTINCT * FROM people")
    assert labels.stamp_labels(engine, LATER) == 0
    assert moments(engine) == {1: NOW, 2: None}
    assert queries.table_counts(engine) == (2, 1)
    assert "churners in " in (told := refusal(engine)) and "is a view" in told
    execute(engine, "UPDATE people SET labelled_at = NULL")
    with pytest.raises(DataError, match="could not date 1 labels .*UTC.* view") as failed:
        labels.stamp_labels(engine, LATER)
    assert type(failed.value) is DataError


def test_a_user_who_may_only_read_needs_labels_with_dates(mariadb_url: str) -> None:
    admin = open_engine(mariadb_url)
    loading.create_table(admin)
    load(admin, customer(1))
    name = f"reader_{os.getpid()}"
    execute(admin, f"CREATE USER {name}@127.0.0.1 IDENTIFIED BY 'x'")
    execute(admin, f"GRANT SELECT ON {admin.url.database}.* TO {name}@127.0.0.1")
    reader = open_engine(mariadb_url.replace("churn:hush", f"{name}:x"))
    assert labels.stamp_labels(reader, LATER) == 0
    assert moments(reader) == {1: NOW}
    assert "lacks a right: let an administrator GRANT SELECT, INSERT, UPDATE" in refusal(reader)
    execute(admin, "UPDATE churners SET labelled_at = NULL")
    with pytest.raises(DataError, match="could not date 1 labels .* GRANT .*UPDATE") as failed:
        labels.stamp_labels(reader, LATER)
    assert type(failed.value) is DataError
    execute(admin, f"DROP USER {name}@127.0.0.1")
    reader.dispose()
    admin.dispose()


# --- labels and counts


def test_a_date_in_the_future_is_a_fault_of_its_row(engine: sa.Engine) -> None:
    load(engine, customer(1), customer(2, Attrition_Flag=""), customer(3), now=LATER)
    found = labels.future_labels(table(engine), load_contract(), NOW)
    assert [(each.position, each.column) for each in found] == [
        (0, "labelled_at"),
        (2, "labelled_at"),
    ]
    assert found[0].expected.startswith("a date and time up to 2026-11-22 12:30 UTC")
    assert found[0].found.startswith("'2026-11-29 12:30:15")
    assert labels.future_labels(table(engine), load_contract(), LATER) == []
    check = load_contract().check_frame(table(engine), found)
    assert check.valid.tolist() == [False, True, False]


def test_a_plain_insert_by_the_bank_is_dated(engine: sa.Engine) -> None:
    row = pd.DataFrame([customer(1), customer(2, Attrition_Flag=None)])
    row.to_sql("churners", engine, if_exists="append", index=False)
    assert labels.stamp_labels(engine, NOW) == 1
    assert moments(engine) == {1: NOW, 2: None}


def test_a_label_set_by_the_bank_is_dated_once(engine: sa.Engine) -> None:
    load(engine, customer(1, Attrition_Flag=""))
    execute(engine, "UPDATE churners SET Attrition_Flag = 'Attrited Customer'")
    assert labels.stamp_labels(engine, NOW) == 1
    assert labels.stamp_labels(engine, LATER) == 0
    assert moments(engine) == {1: NOW}


def test_a_table_without_labelled_at_is_read_and_every_label_is_new(sqlite_url: str) -> None:
    with opened(sqlite_url) as engine:
        pd.DataFrame([customer(1), customer(2)]).to_sql("churners", engine, index=False)
        assert labels.stamp_labels(engine, NOW) == 0
        assert list(table(engine)) == PUBLISHED
        assert queries.count_newly_labelled(engine, LATER) == 2


def test_labels_after_the_moment_and_undated_ones_are_new(engine: sa.Engine) -> None:
    load(engine, customer(1), customer(2, Attrition_Flag=""))
    load(engine, customer(3), now=LATER)
    assert queries.count_newly_labelled(engine, NOW - timedelta(microseconds=1)) == 2
    assert queries.count_newly_labelled(engine, NOW) == 1
    assert queries.count_newly_labelled(engine, NOW, until=LATER) == 1
    assert queries.count_newly_labelled(engine, NOW, until=LATER - timedelta(hours=1)) == 0
    assert queries.count_newly_labelled(engine, LATER) == 0
    assert queries.table_counts(engine) == (3, 2)
    execute(engine, "UPDATE churners SET labelled_at = NULL WHERE CLIENTNUM < 3")
    assert queries.count_newly_labelled(engine, LATER) == 1
    labels.stamp_labels(engine, LATER)
    assert queries.count_newly_labelled(engine, LATER) == 0


def test_a_moment_without_a_time_zone_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(ValueError, match="time zone"):
        queries.count_newly_labelled(engine, datetime(2026, 1, 1))


def test_a_moment_of_a_whole_second_is_stored(engine: sa.Engine) -> None:
    whole = NOW.replace(microsecond=0)
    loading.create_table(engine)
    loading.load_customers(engine, sample_customers(3, seed=1), now=whole)
    assert queries.count_newly_labelled(engine, whole - timedelta(seconds=1)) == 3
