"""Whole nights: everybody once, whatever happens in between, and proofs that notice."""

import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from include.champion.onnx_scorer import Scorer
from include.contract import Contract
from include.customers import loading
from include.erasure.forget import Places, forget
from include.erasure.person import person_of
from include.errors import DataError
from include.scoring import table as score_table
from include.scoring.plan_ranges import keys_of
from include.scoring.run import ScoringRun, day_prefix
from include.scoring.score_range import score_range
from include.scoring.summarise_scores import summarise_scores
from include.scoring.summary import SUMMARY_FILE
from tests.include.nights import (
    DAY,
    PEOPLE,
    night_of,
    parts_of,
    plan,
    scored,
    sql,
    table_of,
    whole_night,
)


def test_everybody_is_scored_once_as_the_champion_answers(
    night: ScoringRun, people: pd.DataFrame, contract: Contract
) -> None:
    sql(night.engine, "UPDATE churners SET Attrition_Flag = NULL WHERE CLIENTNUM % 3 = 0")
    summary = whole_night(night)
    expected = people.head(PEOPLE).sort_values("CLIENTNUM")
    graph = Scorer(night.store.read("champion/versions/1/model.onnx").data)
    answers = graph.score(contract.matrix(expected, contract.feature_names))
    for found in (table_of(night), parts_of(night)):
        assert found["customer"].tolist() == expected["CLIENTNUM"].tolist()
        assert np.abs(found["probability"].to_numpy() - answers).max() < 1e-6
        assert set(found["model_version"]) == {"1"}
        assert all(len(json.loads(reasons)) == 3 for reasons in found["reasons"])
    assert (summary.customers, summary.scored, summary.unscorable) == (PEOPLE, PEOPLE, 0)
    assert sum(summary.bands.values()) == PEOPLE and len(summary.parts) == 4
    assert summary.mean_probability == pytest.approx(answers.mean(), abs=1e-6)


def test_the_same_date_again_replaces_the_scores_even_when_cut_otherwise(
    night: ScoringRun,
) -> None:
    whole_night(night)
    first = table_of(night)
    other = night_of(night.store, night.engine, range_rows=170, chunk_rows=50)
    summary = whole_night(other)
    assert len(summary.parts) == 6 and len(parts_of(night)) == PEOPLE
    again = table_of(night)
    columns = ["customer", "probability", "band", "reasons", "model_version"]
    pd.testing.assert_frame_equal(first[columns], again[columns])
    assert summary.removed == 0 and first["scored_at"].iloc[0] != again["scored_at"].iloc[0]


def test_the_night_before_is_compared(sqlite_night: ScoringRun) -> None:
    before = whole_night(sqlite_night, day=date(2026, 11, 20))
    sql(sqlite_night.engine, "DELETE FROM churners WHERE CLIENTNUM % 10 = 0")
    summary = whole_night(sqlite_night)
    assert before.change is None and summary.change is not None
    assert summary.change.date == date(2026, 11, 20)
    assert summary.change.scored == summary.scored - before.scored < 0
    assert sum(summary.change.bands.values()) == summary.change.scored


def test_a_summary_of_another_release_is_no_night_before(sqlite_night: ScoringRun) -> None:
    key = f"{day_prefix(DAY - timedelta(1))}{SUMMARY_FILE}"
    sqlite_night.store.write(key, b'{"date": "2026-11-21"}')
    assert whole_night(sqlite_night).change is None


def test_customers_who_are_gone_leave_no_score_behind(night: ScoringRun) -> None:
    whole_night(night)
    sql(night.engine, "DELETE FROM churners WHERE CLIENTNUM % 10 = 0")
    summary = whole_night(night)
    left = table_of(night)["customer"]
    assert not (left % 10 == 0).any() and len(left) == summary.customers
    assert summary.removed == PEOPLE - summary.customers


def test_who_reads_during_a_run_sees_the_night_before_and_afterwards_all_of_tonight(
    night: ScoringRun,
) -> None:
    whole_night(night)
    before = table_of(night)
    sql(night.engine, "UPDATE churners SET Total_Trans_Ct = Total_Trans_Ct + 1")
    portions = plan(night)
    done = scored(night, portions)
    pd.testing.assert_frame_equal(table_of(night), before)
    summarise_scores(night, portions, done)
    after = table_of(night)
    assert (after["transactions"] == before["transactions"] + 1).all()
    assert after["scored_at"].nunique() == 1
    scored(night, portions[:1])  # a range that is cleared after the end
    assert (summarise_scores(night, portions, done).removed, len(table_of(night))) == (0, PEOPLE)


def test_tables_of_other_releases_and_of_unfinished_runs_make_way(night: ScoringRun) -> None:
    old = "customer BIGINT PRIMARY KEY, probability DOUBLE, scored_at DATETIME"
    sql(night.engine, f"CREATE TABLE churn_scores ({old})")
    sql(night.engine, "INSERT INTO churn_scores VALUES (1, 0.5, '2026-11-01 03:00:00')")
    sql(night.engine, "CREATE TABLE churn_worklist_a (customer BIGINT)")
    plan(night)  # and nothing more
    assert whole_night(night).removed == 1
    assert sorted(sa.inspect(night.engine).get_table_names()) == [
        *("churn_comparisons", "churn_contacts", "churn_scores", "churners"),
    ]


def test_what_the_bank_made_of_the_scores_holds_up_no_night(night: ScoringRun) -> None:
    whole_night(night)
    sql(night.engine, "CREATE VIEW callers AS SELECT customer FROM churn_scores")
    if night.engine.dialect.name != "sqlite":
        reference = "FOREIGN KEY (customer) REFERENCES churn_scores (customer)"
        sql(night.engine, f"CREATE TABLE notes (customer BIGINT, {reference})")
    for _ in range(2):
        assert whole_night(night).scored == PEOPLE
    with night.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT COUNT(*) FROM callers")) == PEOPLE


def test_too_many_at_fault_fail_the_night_and_keep_yesterdays_scores(
    sqlite_night: ScoringRun,
) -> None:
    whole_night(sqlite_night)
    sql(sqlite_night.engine, "UPDATE churners SET Credit_Limit = -1 WHERE CLIENTNUM % 5 = 0")
    with pytest.raises(DataError, match=r"200 of 1000 customers .* allowed are 5\.0%"):
        whole_night(sqlite_night)
    assert len(table_of(sqlite_night)) == PEOPLE


def test_who_comes_during_the_run_is_scored_too(night: ScoringRun, people: pd.DataFrame) -> None:
    sql(night.engine, "DELETE FROM churners WHERE CLIENTNUM % 100 = 0")
    portions = plan(night)
    done = scored(night, portions)
    loading.load_customers(night.engine, people.head(PEOPLE), now=datetime.now(UTC))
    summary = summarise_scores(night, portions, done)
    assert (summary.scored, summary.late) == (PEOPLE, 10)
    again = summarise_scores(night, portions, done)  # a task that is tried again
    assert (again.scored, again.late) == (PEOPLE, 10)
    assert parts_of(night)["customer"].tolist() == table_of(night)["customer"].tolist()


@pytest.mark.parametrize("harm", ["lost", "doubled", "foreign"])
def test_the_proof_notices_a_part_that_is_not_right(sqlite_night: ScoringRun, harm: str) -> None:
    portions = plan(sqlite_night)
    done = scored(sqlite_night, portions)
    rows = pq.read_table(io.BytesIO(sqlite_night.store.read(done[1].part).data))
    other = pq.read_table(io.BytesIO(sqlite_night.store.read(done[2].part).data))
    harmed = {
        "lost": rows.slice(1),
        "doubled": rows.take([0, *range(len(rows) - 1)]),
        "foreign": other,
    }
    buffer = io.BytesIO()
    pq.write_table(harmed[harm], buffer)
    sqlite_night.store.write(done[1].part, buffer.getvalue())
    with pytest.raises(
        DataError, match="part-0001.parquet should hold .* clear this range"
    ) as told:
        summarise_scores(sqlite_night, portions, done)
    assert not any(str(key) in str(told.value) for key in other["customer"].to_pylist())


def test_who_has_no_score_is_counted_and_not_named(sqlite_night: ScoringRun) -> None:
    night = night_of(sqlite_night.store, sqlite_night.engine, range_rows=500, chunk_rows=100)
    portions = plan(night)
    done = scored(night, portions)
    table = score_table.table_of(night.engine, portions[0].scored_at).name
    sql(night.engine, f"DELETE FROM {table} WHERE customer % 2 = 0")
    with pytest.raises(DataError, match="or more have no score, 0 of them no key") as told:
        summarise_scores(night, portions, done)
    assert not re.search(r"\d{5}", str(told.value))


def test_the_proof_notices_a_range_that_was_not_scored_and_a_row_about_nobody(
    sqlite_night: ScoringRun,
) -> None:
    portions = plan(sqlite_night)
    done = scored(sqlite_night, portions)
    with pytest.raises(DataError, match="planned were the ranges"):
        summarise_scores(sqlite_night, portions, done[:-1])
    table = score_table.table_of(sqlite_night.engine, portions[0].scored_at).name
    columns = "customer, probability, band, reasons, model_version, scored_at, has_left"
    row = "1, 0.5, 'low', '[]', '1', '2026-11-22', 0"
    sql(sqlite_night.engine, f"INSERT INTO {table} ({columns}) VALUES ({row})")
    with pytest.raises(DataError, match=f"{table} should hold 1000 customers, .* found 1001"):
        summarise_scores(sqlite_night, portions, done)


def test_a_night_in_which_a_customer_is_forgotten_says_which_range_to_clear(
    sqlite_night: ScoringRun, tmp_path: Path
) -> None:
    portions = plan(sqlite_night)
    done = scored(sqlite_night, portions)
    one = keys_of(sqlite_night, portions[0]).upto  # where a range ends
    places = Places(sqlite_night.engine, sqlite_night.store, tmp_path, tmp_path / "spool", 0)
    forget(places, person_of(str(one), b"k"), asked_by="case 17", now=sqlite_night.now)
    with pytest.raises(DataError, match="0000.parquet should hold .* found .* clear this range"):
        summarise_scores(sqlite_night, portions, done)
    done[0] = score_range(sqlite_night, portions[0])
    summary = summarise_scores(sqlite_night, portions, done)
    assert summary.scored == PEOPLE - 1 == len(table_of(sqlite_night))
