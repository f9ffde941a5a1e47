"""One customer is forgotten everywhere, and nobody else is; whatever is in the way."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from dashboard.data import uploads
from include.drift.detect_drift import detect_drift
from include.drift.findings import read_day
from include.drift.weeks import AskedWeek, Week
from include.erasure import forget as forgetting
from include.erasure import tables
from include.erasure.forget import OLDER, forget
from include.erasure.older_versions import older_versions
from include.erasure.person import person_of
from include.erasure.unsearched import Unsearched
from include.errors import ConfigurationError, DataError
from include.predictions.log import (
    KEY_MARK,
    customer_key,
    key_mark,
    read_predictions,
    write_table,
)
from include.scoring.summary import read_summary
from include.store import LocalStore, S3Store
from tests.include.bank_days import DAY, ID_KEY, NOW, drift_run
from tests.include.drift.conftest import collect
from tests.include.erasure.bank import (
    CONTRACT,
    KEY,
    ONE,
    OTHERS,
    PEOPLE,
    TABLES,
    Bank,
    forgotten,
    log_under_another_key,
    logged,
    named_in,
    notes,
    traces,
)
from tests.leaks import numbers_in

EARLIER = b"before"  # a key of the log that was changed


def test_nothing_is_left_of_the_customer_and_everything_of_the_others(bank: Bank) -> None:
    before = traces(bank)
    assert {*TABLES} < {*before} and len(before) >= 16, "the test has the customer everywhere"
    done = forgotten(bank)
    assert traces(bank) == {}
    for table, column in TABLES.items():
        assert set(bank.keys_of(table, column)) == set(OTHERS)
    rows = {row["customer_key"] for row in log_of(bank)} - {None}
    assert len(rows) == len(OTHERS)
    assert {n for _, data in bank.objects() for n in numbers_in(data)} == set(OTHERS)
    counts = {name: count for name, count in done.rows.items() if name != OLDER}
    assert counts == {
        **{"churners": 1, "churner_snapshots": 2, "churner_exits": 1, "churn_contacts": 2},
        **{"churn_scores": 1, "churn_scores_20260505": 1, "uploaded files": 1},
        "prediction log": 2,
        "outcomes that are not known yet": 1,
        "nightly scores": 3,  # the row, and two bounds of ranges
        "what runs handed over": 9,  # three tables, two bounds, of each part two
    }
    assert (OLDER in done.rows) == isinstance(bank.store, S3Store)


def log_of(bank: Bank) -> list[dict[str, Any]]:
    batches = read_predictions(bank.store, DAY)
    return [row for batch in batches for row in batch.to_pylist()]


def test_an_erased_answer_leaves_its_place_alone(laptop: Bank) -> None:
    before = {each["prediction_id"]: each for each in log_of(laptop)}
    forgotten(laptop)
    left = [row for row in log_of(laptop) if row["customer_key"] is None]
    told = [{name for name, value in row.items() if value is not None} for row in left]
    assert told == [{"prediction_id", "row"}] * 2
    assert {row["prediction_id"] for row in log_of(laptop)} == {*before}, "places are as they were"
    week = AskedWeek.read(laptop.store, Week.of(DAY))
    assert len(week.rows) == len(OTHERS) and week.look(laptop.store, DAY)
    assert len(week.rows) == len(OTHERS), "a day that is read again brings nobody back"


@pytest.mark.parametrize("forgotten_after", [0, 1])
def test_a_drift_run_that_is_under_way_ends_well(laptop: Bank, forgotten_after: int) -> None:
    """Whether the parts were counted before or not; the second part has customers of the first."""
    run = drift_run(
        "again",
        {"part_mebibytes": 0.005, "rows_min": 10},
        store=laptop.store,
        open_engine=lambda: laptop.places.engine,
    )
    if forgotten_after:
        parts = collect(run)
        forgotten(laptop)
    else:
        forgotten(laptop)
        parts = collect(run)
    detect_drift(run, parts)
    (group,) = read_day(laptop.store, DAY).groups
    counted_before = 2 * forgotten_after  # in each part, which nothing tells is one customer
    assert (group.rows, group.rows_at_fault) == (len(OTHERS) + counted_before, 0)


def test_ranges_still_hold_everybody_else(laptop: Bank) -> None:
    forgotten(laptop)
    summary = read_summary(laptop.store, DAY)
    assert summary is not None
    assert [(each.after, each.upto) for each in summary.ranges] == [
        (None, ONE - 1),
        (ONE - 1, None),
    ]


def test_a_note_names_nobody_and_is_left_each_time(laptop: Bank) -> None:
    first = forget(laptop.places, laptop.person, asked_by="case 17", now=NOW)
    note = laptop.store.read(first.key).data
    assert first.key == "erasures/2026-05-05T00-30-00.000000Z.json" and b"case 17" in note
    assert not named_in(note, laptop)
    assert first.notes == 1, "what was written on somebody else is told"
    again = forget(laptop.places, laptop.person, asked_by="case 17", now=NOW.replace(minute=31))
    assert again.rows == {}
    assert [info.key for info in laptop.store.list("erasures/")] == [first.key, again.key]


def test_runs_that_may_write_what_they_read_are_those_with_a_task_under_way(
    laptop: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the last pass began: one that ended before has written what is erased now."""
    url = f"sqlite:///{laptop.places.var_dir / 'airflow.db'}"
    airflow, usual = sa.create_engine(url), forgetting._pass
    tasks = [("ended", "success"), ("waits", "scheduled"), ("short", "running"), ("at", "running")]
    pd.DataFrame(tasks, columns=["run_id", "state"]).assign(dag_id="churn_training").to_sql(
        "task_instance", airflow
    )

    def one_pass(*arguments: Any) -> Any:
        with airflow.begin() as connection:
            connection.execute(sa.text("DELETE FROM task_instance WHERE run_id = 'short'"))
        return usual(*arguments)

    monkeypatch.setattr(forgetting, "_pass", one_pass)
    known = replace(laptop, places=replace(laptop.places, airflow_database_url=url))
    assert forgotten(known).under_way == {"churn_training at"}
    airflow.dispose()


@pytest.mark.parametrize("url", ["", "sqlite:////nowhere/airflow.db"])
def test_without_airflows_database_nobody_knows_of_runs(laptop: Bank, url: str) -> None:
    places = replace(laptop.places, airflow_database_url=url)
    done = forget(places, laptop.person, asked_by="case 17", now=NOW)
    assert done.under_way is None and traces(laptop) == {}


def test_who_asks_is_not_the_customer(laptop: Bank) -> None:
    with pytest.raises(ConfigurationError, match="must not hold the customer's number"):
        forget(laptop.places, laptop.person, asked_by=f"customer {ONE} herself", now=NOW)
    assert traces(laptop)


def test_deleted_rows_leave_the_file_too(laptop: Bank) -> None:
    database = Path(str(laptop.places.engine.url.database))
    with laptop.places.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE churn_scores"))  # as each night does
        connection.execute(
            sa.text(f"UPDATE churn_contacts SET note = '' WHERE customer = {OTHERS[0]}")
        )
    forgotten(laptop)
    laptop.places.engine.dispose()
    assert numbers_in(database.read_bytes()) == set(OTHERS)


def test_an_object_that_changes_meanwhile_is_read_again(
    laptop: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipper, a night and a week in the making write as ever."""
    quick, changed = LocalStore.replace, list[str]()

    def slow(store: LocalStore, key: str, data: bytes, *, etag: str | None) -> None:
        if key not in changed and key.startswith(("predictions/", "monitoring/")):
            changed.append(key)
            if key.startswith("predictions/"):
                write_table(store, logged(PEOPLE), name=Path(key).stem)
            else:
                store.write(key, store.read(key).data + b"")
        quick(store, key, data, etag=etag)

    monkeypatch.setattr(LocalStore, "replace", slow)
    forgotten(laptop)
    assert len(changed) >= 2 and traces(laptop) == {}
    assert {row["Customer_Age"] for row in log_of(laptop)} - {None} <= set(PEOPLE["Customer_Age"])


def test_what_a_run_writes_meanwhile_is_found_by_the_next_pass(
    laptop: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, late = forgetting._pass, [logged(PEOPLE)]

    def one_pass(*arguments: Any) -> Any:
        found = usual(*arguments)
        if late:
            write_table(laptop.store, late.pop(), name="late")
        return found

    monkeypatch.setattr(forgetting, "_pass", one_pass)
    assert forgotten(laptop).rows["prediction log"] == 3
    assert traces(laptop) == {}


@pytest.mark.parametrize("id_key", [ID_KEY, EARLIER])
def test_answers_that_wait_for_the_store_are_waited_for(laptop: Bank, id_key: bytes) -> None:
    """Also such as nobody can tell to be somebody else's."""
    spool = laptop.places.spool_dir
    spool.mkdir()
    head = f'{{"columns":[],"{KEY_MARK}":"{key_mark(id_key)}"}}'
    (spool / "a.1.sealed").write_text(f'{head}\n[1,["{customer_key(ONE, id_key)}"]]\n')
    with pytest.raises(DataError, match="start the API, which ships them"):
        forgotten(laptop)
    assert traces(laptop), "nothing is erased before: it would come back"


def test_answers_under_a_key_that_was_changed_are_named_and_then_erased(laptop: Bank) -> None:
    log_under_another_key(laptop, EARLIER)
    both = replace(laptop, person=person_of(str(ONE), ID_KEY, EARLIER))
    assert len(traces(both)) == len(traces(laptop)) + 3
    told = rf"answers of 2026-05-02 to 2026-05-03 .*{key_mark(EARLIER)};.* CHURN_FORMER_ID_KEYS"
    with pytest.raises(DataError, match=told):
        forgotten(laptop)
    assert not traces(laptop) and len(traces(both)) == 3, "what was in reach is erased"
    with pytest.raises(DataError, match="logged under another key"):
        forgotten(replace(laptop, person=person_of(str(ONE), ID_KEY, b"a wrong one")), 31)
    rows = forgotten(both, 32).rows
    assert rows == {"prediction log": 2, "outcomes that are not known yet": 1}
    assert traces(both) == {}


def test_answers_whose_key_nobody_noted_are_told(laptop: Bank) -> None:
    """As releases before 0.6 logged; nobody can tell whether the key was another one then."""
    key = f"predictions/date={DAY}/first.parquet"
    table = pq.read_table(pa.BufferReader(laptop.store.read(key).data))
    write_table(laptop.store, table.replace_schema_metadata(None), name="first")
    laptop.store.write("predictions/read-me.txt", b"no log")
    forgotten(laptop)
    done = forget(laptop.places, laptop.person, asked_by="case 17", now=NOW.replace(minute=31))
    assert done.unmarked == f"{DAY} to {DAY}"


def test_an_erased_answers_object_still_says_its_key(laptop: Bank) -> None:
    forgotten(laptop)
    data = laptop.store.read(f"predictions/date={DAY}/first.parquet").data
    metadata = pq.read_schema(pa.BufferReader(data)).metadata
    assert metadata[KEY_MARK.encode()] == key_mark(ID_KEY).encode()


def test_what_cannot_be_read_is_named_after_all_else_is_erased_and_noted(laptop: Bank) -> None:
    laptop.store.write("runs/torn/ingest_data/customers.parquet", b"PAR1 and no more")
    with pytest.raises(DataError, match=r"nobody knows whom runs/torn/ingest_data/customers"):
        forgotten(laptop)
    assert traces(laptop) == {}
    ((key, rows),) = notes(laptop).items()
    assert key.endswith("Z-unfinished.json") and rows["prediction log"] == 2
    laptop.store.delete("runs/torn/ingest_data/customers.parquet")
    later = NOW.replace(minute=31)
    assert forget(laptop.places, laptop.person, asked_by="case 17", now=later).rows == {}
    assert notes(laptop) == {"erasures/2026-05-05T00-31-00.000000Z.json": rows}


def test_who_comes_back_leaves_a_note_of_what_is_not_finished(
    laptop: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names nobody, and is replaced by what the same case has finished, no other."""
    monkeypatch.setattr(forgetting, "_pass", lambda *_: Counter({"prediction log": 1}))
    for case, minute in (("case 16", 10), ("case 17", 20)):
        with pytest.raises(DataError, match="there again after 5 erasures, in prediction log: a"):
            forget(laptop.places, laptop.person, asked_by=case, now=NOW.replace(minute=minute))
    monkeypatch.undo()
    assert [*notes(laptop).values()] == [{"prediction log": 5}] * 2
    assert not any(named_in(laptop.store.read(key).data, laptop) for key in notes(laptop))
    rows = forgotten(laptop).rows
    (other, unfinished), (_, finished) = notes(laptop).items()
    assert other == "erasures/2026-05-05T00-10-00.000000Z-unfinished.json" and len(unfinished) == 1
    assert finished == rows | {"prediction log": rows["prediction log"] + 5}


def test_a_file_that_others_read_is_compacted_when_it_is_said_again(
    laptop: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = sa.Connection.exec_driver_sql

    def locked(connection: sa.Connection, statement: str, *rest: Any) -> Any:
        if statement == "VACUUM":
            raise sa.exc.OperationalError(statement, {}, Exception("database is locked"))
        return usual(connection, statement, *rest)

    with monkeypatch.context() as patched, pytest.raises(DataError, match="forget the customer ag"):
        patched.setattr(sa.Connection, "exec_driver_sql", locked)
        forgotten(laptop)
    assert [key[-15:] for key in notes(laptop)] == ["unfinished.json"]
    later = NOW.replace(minute=31)
    again = forget(laptop.places, laptop.person, asked_by="case 17", now=later)
    assert again.rows == {} and traces(laptop) == {}


@pytest.mark.parametrize("name", TABLES)
def test_a_view_is_erased_by_the_bank_first(laptop: Bank, name: str) -> None:
    with laptop.places.engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {name} RENAME TO people"))
        connection.execute(sa.text(f"CREATE VIEW {name} AS SELECT * FROM people"))
    with pytest.raises(DataError, match="erase the rows in the table under it"):
        forgotten(laptop)
    with laptop.places.engine.begin() as connection:
        connection.execute(sa.text(f"DELETE FROM people WHERE {TABLES[name]} = {ONE}"))
    forgotten(laptop)
    assert traces(laptop) == {}


def test_an_uploaded_number_may_begin_with_zeros(laptop: Bank) -> None:
    people = PEOPLE.tail(45).rename(columns={KEY: "customer_id"})
    file = people.assign(customer_id="000" + people["customer_id"].astype(str))
    var = laptop.places.var_dir
    uploads.keep(var, uploads.read_upload(file.to_csv(index=False).encode(), CONTRACT))
    assert forgotten(laptop).rows["uploaded files"] == 2 and traces(laptop) == {}


def test_of_older_versions_a_folder_is_skipped_and_a_torn_one_is_nobodys(
    versioned_store: S3Store,
) -> None:
    """As consoles draw folders, and delete them again."""
    client, name = versioned_store.client, {"Bucket": versioned_store.bucket}
    for key, data in (("runs/", b""), ("runs/r/ingest_data/customers.parquet", b"torn")):
        whole = versioned_store.prefix + key
        client.put_object(**name, Key=whole, Body=data)
        client.delete_object(**name, Key=whole)
    (torn,) = older_versions(versioned_store, "runs/")
    assert forgetting._erase_version(torn, person_of(str(ONE), ID_KEY), Unsearched()) == 0
    assert not list(older_versions(versioned_store, "runs/"))


def test_a_nights_table_that_goes_meanwhile_is_in_nobodys_way(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tables._places
    gone: list[str] = []

    def places(engine: sa.Engine, names: Any) -> list[tuple[str, str]]:
        found = [*listed(engine, names)]
        if not gone:
            gone.append("churn_scores_20260505")
            with engine.begin() as connection:
                connection.execute(sa.text(f"DROP TABLE {gone[0]}"))
        return found

    monkeypatch.setattr(tables, "_places", places)
    found = tables.erase_rows(bank.places.engine, bank.person)
    assert gone[0] not in found and found["churners"] == 1
