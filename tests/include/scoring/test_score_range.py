"""A mapped range: who is scored, by whom, and what a crash or a neighbour leaves behind."""

import io
import re
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from include.champion import versions
from include.errors import ChampionError, DataError
from include.scoring.plan_ranges import keys_of
from include.scoring.run import ScoringRun
from include.scoring.score_range import score_range
from include.scoring.summarise_scores import summarise_scores
from tests.include.bank_days import promote
from tests.include.nights import (
    PEOPLE,
    Version,
    night_of,
    plan,
    scored,
    sql,
    table_of,
    whole_night,
)


def test_customers_at_fault_are_listed_and_not_scored(
    sqlite_night: ScoringRun, people: pd.DataFrame
) -> None:
    whole_night(sqlite_night)
    first = int(people["CLIENTNUM"].iloc[0])
    sql(sqlite_night.engine, f"UPDATE churners SET Customer_Age = -1 WHERE CLIENTNUM = {first}")
    sql(sqlite_night.engine, f"UPDATE churners SET Gender = NULL WHERE CLIENTNUM = {first}")
    summary = whole_night(sqlite_night)
    faults = pd.read_parquet(io.BytesIO(sqlite_night.store.read(summary.faults[0]).data))
    assert (summary.scored, summary.unscorable) == (PEOPLE - 1, 1)
    assert set(faults["column"]) == {"Customer_Age", "Gender"}
    assert set(faults["customer"]) == {first}
    assert "runs/scheduled__2026-11-22/score_range/faults-part-" in summary.faults[0]
    assert first not in set(table_of(sqlite_night)["customer"])


def test_a_range_of_nothing_but_faults_is_no_failure(sqlite_night: ScoringRun) -> None:
    portions = plan(sqlite_night)
    end = keys_of(sqlite_night, portions[0]).upto
    sql(sqlite_night.engine, f"UPDATE churners SET Credit_Limit = -1 WHERE CLIENTNUM <= {end}")
    found = score_range(sqlite_night, portions[0])
    assert (found.rows, found.unscorable_rows) == (0, 250)


def test_the_champion_stays_the_one_of_the_plan(
    sqlite_night: ScoringRun, champion: Version
) -> None:
    portions = plan(sqlite_night)
    manifest, files = champion
    promote(sqlite_night.store, manifest.model_copy(update={"version": "2"}), files)
    summary = summarise_scores(sqlite_night, portions, scored(sqlite_night, portions))
    assert summary.model_version == "1" and set(table_of(sqlite_night)["model_version"]) == {"1"}


def test_an_older_night_does_not_write_over_a_newer_one(night: ScoringRun) -> None:
    old = plan(night)
    newer = plan(night)
    for finish in (lambda: None, lambda: summarise_scores(night, newer, scored(night, newer))):
        finish()
        with pytest.raises(DataError, match="start a new run instead of clearing"):
            scored(night, old)


def test_a_changed_version_is_not_scored_with(sqlite_night: ScoringRun) -> None:
    portions = plan(sqlite_night)
    key = versions.version_key("1", versions.MANIFEST_FILE)
    sqlite_night.store.write(key, sqlite_night.store.read(key).data + b" ")
    with pytest.raises(ChampionError, match="start the run again"):
        score_range(sqlite_night, portions[0])


def test_a_missing_column_is_named(sqlite_night: ScoringRun) -> None:
    portions = plan(sqlite_night)
    sql(sqlite_night.engine, "ALTER TABLE churners DROP COLUMN Total_Trans_Ct")
    with pytest.raises(DataError, match="lacks Total_Trans_Ct"):
        score_range(sqlite_night, portions[0])


def test_a_customer_who_is_there_twice_is_counted_and_not_named(sqlite_night: ScoringRun) -> None:
    sql(sqlite_night.engine, "CREATE TABLE copies AS SELECT * FROM churners")
    sql(sqlite_night.engine, "DROP TABLE churners")
    sql(sqlite_night.engine, "ALTER TABLE copies RENAME TO churners")
    sql(sqlite_night.engine, "INSERT INTO churners SELECT * FROM churners LIMIT 3")
    with pytest.raises(DataError, match="3 customers are in churners more than once") as told:
        score_range(sqlite_night, plan(sqlite_night)[0])
    assert "HAVING COUNT(*) > 1 lists them" in str(told.value)
    assert not re.search(r"\d{4}", str(told.value))


def test_ranges_side_by_side_wait_for_sqlite_and_all_succeed(sqlite_night: ScoringRun) -> None:
    night = night_of(sqlite_night.store, sqlite_night.engine, range_rows=100)
    portions = plan(night)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda p: score_range(night, p), portions))
    summary = summarise_scores(night, portions, done)
    assert summary.scored == PEOPLE and len(done) == 10
