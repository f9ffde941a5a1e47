"""A bank in which one customer is everywhere that a customer can be."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from dashboard.data import uploads
from include.customers import contacts, loading
from include.customers.contacts import Mark
from include.customers.database import open_engine
from include.customers.ranges import KeyRange
from include.customers.sample import sample_customers
from include.documents import parse_document
from include.drift.collect_predictions import collect_predictions
from include.drift.plan_parts import plan_parts
from include.drift.weeks import AskedWeek, Week
from include.erasure.forget import Forgotten, Places, forget
from include.erasure.note import Erasure
from include.erasure.older_versions import older_versions
from include.erasure.person import Person, person_of
from include.handover import Run
from include.history.loading import create_history_tables, write_exits, write_snapshot
from include.predictions.log import (
    customer_key,
    feature_columns,
    key_mark,
    log_schema,
    write_table,
)
from include.scoring import table as score_table
from include.scoring.plan_ranges import plan_ranges
from include.scoring.run import part_key
from include.scoring.summary import ScoreSummary
from include.store import Store
from tests.include.bank_days import CONTRACT, DAY, ID_KEY, NOW, drift_run, publish
from tests.include.nights import night_of
from tests.leaks import files_below, numbers_in, renumbered

PEOPLE = renumbered(sample_customers(60, seed=9))
KEY = CONTRACT.key.name
ONE = int(PEOPLE[KEY].iloc[19])  # where a range ends
OTHERS = [int(each) for each in PEOPLE[KEY] if each != ONE]
NOON = datetime.combine(DAY, time(12), UTC)
NIGHT = "scheduled__2026-05-05"
NOTE = "prefers the evening"


@dataclass(frozen=True)
class Bank:
    """The bank, and who is to be forgotten."""

    places: Places
    person: Person

    @property
    def store(self) -> Store:
        return self.places.store

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Every object as it is now."""
        for info in self.store.list(""):
            yield info.key, self.store.read(info.key).data

    def keys_of(self, table: str, column: str) -> list[int]:
        """Whom a table of the database has."""
        with self.places.engine.connect() as connection:
            return sorted(
                connection.scalars(sa.select(sa.column(column)).select_from(sa.table(table)))
            )


def bank_at(database_url: str, store: Store, var: Path) -> Bank:
    """The bank that lies there."""
    places = Places(open_engine(database_url), store, var, var / "spool", 0)
    return Bank(places, person_of(str(ONE), ID_KEY))


def fill(database_url: str, store: Store, var: Path) -> Bank:
    """Everybody everywhere."""
    bank = bank_at(database_url, store, var)
    engine = bank.places.engine
    _fill_database(engine)
    publish(store, people=PEOPLE)
    for name, people in (("first", PEOPLE.head(40)), ("second", PEOPLE.tail(45))):
        write_table(store, logged(people, name), name=name)
    _judge_a_day(store)
    _score(store, engine)
    _write_scores(engine)
    run = Run("manual__2026", store)
    run.write_frame("ingest_data", "customers.parquet", PEOPLE)
    run.write_frame("validate_data", "rejected.parquet", PEOPLE.astype(str))
    faults = PEOPLE[[KEY]].astype("str").rename(columns={KEY: "key"}).assign(found="'X'")
    run.write_frame("validate_data", "faults.parquet", faults)
    file = PEOPLE.head(30).rename(columns={KEY: "customer_id"}).to_csv(index=False).encode()
    uploads.keep(var, uploads.read_upload(file, CONTRACT))
    return bank


def logged(
    people: pd.DataFrame, name: str = "late", *, at: datetime = NOON, id_key: bytes = ID_KEY
) -> pa.Table:
    """One answer about each."""
    facts: dict[str, Any] = {
        **{"row": 0, "request_id": "r", "predicted_at": at, "model_version": "1"},
        **{"source": "customer", "probability": 0.25, "prediction": 0, "latency_seconds": 0.001},
    }
    rows = [
        {
            **{name: record[name] for name in CONTRACT.feature_names},
            **facts,
            "prediction_id": f"{name} {place}",
            "customer_key": customer_key(record[KEY], id_key),
        }
        for place, record in enumerate(people.to_dict("records"))
    ]
    schema = log_schema(feature_columns(CONTRACT), key_mark(id_key))
    return pa.Table.from_pylist(rows, schema)


def log_under_another_key(bank: Bank, id_key: bytes) -> None:
    """Two days before DAY, and a week of outcomes that begins with the second."""
    for days in (2, 1):
        table = logged(PEOPLE, f"{days} before", at=NOON - timedelta(days=days), id_key=id_key)
        write_table(bank.store, table, name=f"{days}-before")
    day = DAY - timedelta(days=1)
    week = AskedWeek.read(bank.store, Week.of(day))
    assert week.look(bank.store, day)
    week.write(bank.store)


def _fill_database(engine: sa.Engine) -> None:
    loading.create_table(engine)
    loading.load_customers(engine, PEOPLE, now=NOON)
    create_history_tables(engine)
    for months in (1, 2):
        day = DAY - timedelta(days=30 * months)
        write_snapshot(engine, PEOPLE, as_of=day, loaded_at=NOON)
    write_exits(engine, PEOPLE[[KEY]].assign(left_on=DAY, known_at=NOON))
    contacts.create_contacts(engine)
    marks = [Mark(each, "listed", campaign="spring", note=NOTE) for each in PEOPLE[KEY].tolist()]
    contacts.mark(engine, [*marks, Mark(ONE, "called")], now=NOON)
    contacts.mark(engine, [Mark(OTHERS[0], "called", note=f"pays for {ONE}")], now=NOON)


def _write_scores(engine: sa.Engine) -> None:
    """In the table, and in that of a night under way."""
    for table in (score_table.score_table(), score_table.score_table("churn_scores_20260505")):
        table.create(engine, checkfirst=True)
        rows = [{c.name: _filler(c) for c in table.columns} | {"customer": k} for k in PEOPLE[KEY]]
        with engine.begin() as connection:
            connection.execute(sa.insert(table), rows)


def _filler(column: Any) -> Any:
    if column.nullable:
        return None
    return {"scored_at": NOON.replace(tzinfo=None)}.get(
        column.name, 0 if column.name in {"probability", "has_left"} else "1"
    )


def _judge_a_day(store: Store) -> None:
    """In parts, which hand on whose rows they had first, and samples; and a week in the making."""
    run = drift_run("drift", {"part_mebibytes": 0.005}, store=store)
    parts = [collect_predictions(run, part) for part in plan_parts(run)]
    assert len(parts) == 2
    week = AskedWeek.read(store, Week.of(DAY))
    assert week.look(store, DAY)
    week.write(store)


def _score(store: Store, engine: sa.Engine) -> None:
    night = night_of(store, engine, range_rows=20)
    portions = plan_ranges(night)
    assert len(portions) == 3
    part = part_key(DAY, "0000")
    scores = PEOPLE[[KEY]].rename(columns={KEY: "customer"}).assign(probability=0.25)
    Run(NIGHT, store).store.write(part, _parquet(scores))
    summary = ScoreSummary(
        **{"date": DAY, "model_version": "1", "scored_at": NOW, "customers": 60, "scored": 60},
        **{"unscorable": 0, "late": 0, "removed": 0, "mean_probability": 0.25, "bands": {}},
        **{"change": None, "parts": (part,), "faults": (), "seconds": {}},
        ranges=(KeyRange(None, ONE), KeyRange(ONE, None)),
    )
    store.write(f"scores/date={DAY}/summary.json", summary.to_bytes())


def _parquet(frame: pd.DataFrame) -> bytes:
    from include.handover import frame_bytes

    return frame_bytes(frame)


TABLES = {
    "churners": KEY,
    "churner_snapshots": KEY,
    "churner_exits": KEY,
    "churn_scores": "customer",
    "churn_scores_20260505": "customer",
    "churn_contacts": "customer",
}


def forgotten(bank: Bank, minute: int = 30) -> Forgotten:
    """The customer forgotten, at that minute of the day's hour."""
    return forget(bank.places, bank.person, asked_by="case 17", now=NOW.replace(minute=minute))


def notes(bank: Bank) -> dict[str, dict[str, int]]:
    """What was noted, by key."""
    found = {each.key: bank.store.read(each.key).data for each in bank.store.list("erasures/")}
    return {key: parse_document(Erasure, data, key).rows for key, data in found.items()}


def named_in(data: bytes, bank: Bank) -> bool:
    """By number, by what stands for it in the log, or by a hash of that."""
    if ONE in numbers_in(data) or any(key.encode() in data for key in bank.person.log_keys):
        return True
    if data[-4:] != b"PAR1":
        return False
    names = {ONE, *bank.person.log_keys, *map(int, bank.person.log_hashes)}
    table = pq.read_table(pa.BufferReader(data))
    return any(names & set(column.to_pylist()) for column in table.columns)


def traces(bank: Bank) -> dict[str, int]:
    """What is left of the customer."""
    found = {key: 1 for key, data in bank.objects() if named_in(data, bank)}
    found |= {
        each.version_id: 1 for each in older_versions(bank.store, "") if named_in(each.read(), bank)
    }
    found |= {t: n for t, c in TABLES.items() if (n := bank.keys_of(t, c).count(ONE))}
    return found | {
        n: 1 for n, d in files_below(bank.places.var_dir / "uploads") if named_in(d, bank)
    }
