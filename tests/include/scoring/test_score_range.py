"""Whole nights on SQLite and MariaDB: everybody once, whatever happens in between."""

import io
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from include.champion import versions
from include.champion.onnx_scorer import Scorer
from include.contract import Contract
from include.customers import loading, queries
from include.customers import ranges as customer_ranges
from include.customers import rows as customer_rows
from include.customers.database import open_engine
from include.customers.ranges import KeyRange
from include.errors import ChampionError, DataError
from include.params import Params, load_params
from include.scoring import score_range, summarise_scores
from include.scoring import table as score_table
from include.scoring.score_range import Night
from include.settings import Settings
from include.store import LocalStore
from include.training import fit
from tests.include.conftest import changed
from tests.include.nights import (
    DAY,
    fitted_on,
    night_of,
    plan,
    put_champion,
    scored,
    whole_night,
)

PEOPLE = 1000
CUT = {"range_rows": 300, "chunk_rows": 110}


@pytest.fixture(scope="module")
def fitted(people: pd.DataFrame, contract: Contract) -> fit.Fitted:
    """A quick model of all of them."""
    shape = {"n_estimators": 10, "max_depth": 3}
    return fitted_on(people, contract, changed(load_params(Settings().params_file), shape))


@pytest.fixture
def bank(database_url: str, people: pd.DataFrame) -> Iterator[Engine]:
    """A database with a thousand of the customers."""
    engine = open_engine(database_url)
    loading.create_table(engine)
    loading.load_customers(engine, people.head(PEOPLE), now=datetime.now(UTC))
    yield engine
    engine.dispose()


@pytest.fixture
def night(
    local_store: LocalStore,
    bank: Engine,
    fitted: fit.Fitted,
    contract: Contract,
    params: Params,
) -> Night:
    """A night with a champion, in four ranges of several chunks."""
    put_champion(local_store, fitted, contract, params, version="1")
    return night_of(local_store, bank, params, **CUT)


@pytest.fixture
def sqlite_night(
    local_store: LocalStore,
    engine: Engine,
    fitted: fit.Fitted,
    contract: Contract,
    params: Params,
) -> Night:
    """The same on SQLite only, with all three thousand customers."""
    put_champion(local_store, fitted, contract, params, version="1")
    return night_of(local_store, engine, params, **CUT)


def sql(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def table_of(night: Night) -> pd.DataFrame:
    query = "SELECT * FROM churn_scores ORDER BY customer"
    with night.engine.connect() as connection:
        return pd.read_sql(text(query), connection)


def parts_of(night: Night, day: date = DAY) -> pd.DataFrame:
    prefix = score_range.day_prefix(day.isoformat())
    keys = [i.key for i in night.store.list(prefix) if i.key.endswith(".parquet")]
    found = [pq.read_table(io.BytesIO(night.store.read(key).data)) for key in keys]
    return pd.concat([part.to_pandas() for part in found]).sort_values("customer")


def test_everybody_is_scored_once_as_the_champion_answers(
    night: Night, people: pd.DataFrame, contract: Contract
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
    night: Night, params: Params
) -> None:
    whole_night(night)
    first = table_of(night)
    other = night_of(night.store, night.engine, params, range_rows=170, chunk_rows=50)
    summary = whole_night(other)
    assert len(summary.parts) == 6 and len(parts_of(night)) == PEOPLE
    again = table_of(night)
    columns = ["customer", "probability", "band", "reasons", "model_version"]
    pd.testing.assert_frame_equal(first[columns], again[columns])
    assert summary.removed == 0 and first["scored_at"].iloc[0] != again["scored_at"].iloc[0]


def test_a_later_plan_removes_the_parts_of_an_unfinished_one(night: Night, params: Params) -> None:
    scored(night, plan(night))
    other = night_of(night.store, night.engine, params, range_rows=600)
    scored(other, plan(other))
    assert parts_of(night)["customer"].is_unique


def test_the_night_before_is_compared(night: Night) -> None:
    before = whole_night(night, day=date(2026, 11, 20))
    sql(night.engine, "DELETE FROM churners WHERE CLIENTNUM % 10 = 0")
    summary = whole_night(night)
    assert before.change is None and summary.change is not None
    assert summary.change.date == "2026-11-20"
    assert summary.change.scored == summary.scored - before.scored < 0
    assert sum(summary.change.bands.values()) == summary.change.scored


def test_customers_who_are_gone_leave_no_score_behind(night: Night) -> None:
    whole_night(night)
    sql(night.engine, "DELETE FROM churners WHERE CLIENTNUM % 10 = 0")
    summary = whole_night(night)
    left = table_of(night)["customer"]
    assert not (left % 10 == 0).any() and len(left) == summary.customers
    assert summary.removed == PEOPLE - summary.customers


def test_customers_at_fault_are_listed_and_not_scored(night: Night, people: pd.DataFrame) -> None:
    whole_night(night)
    first = int(people["CLIENTNUM"].iloc[0])
    sql(night.engine, f"UPDATE churners SET Customer_Age = -1 WHERE CLIENTNUM = {first}")
    sql(night.engine, f"UPDATE churners SET Gender = NULL WHERE CLIENTNUM = {first}")
    summary = whole_night(night)
    faults = pd.read_parquet(io.BytesIO(night.store.read(summary.faults[0]).data))
    assert (summary.scored, summary.unscorable) == (PEOPLE - 1, 1)
    assert set(faults["column"]) == {"Customer_Age", "Gender"}
    assert set(faults["customer"]) == {first}
    assert "runs/scheduled__2026-11-22/score_range/faults-part-" in summary.faults[0]
    assert first not in set(table_of(night)["customer"])


def test_too_many_at_fault_fail_the_night_and_keep_yesterdays_scores(night: Night) -> None:
    whole_night(night)
    sql(night.engine, "UPDATE churners SET Credit_Limit = -1 WHERE CLIENTNUM % 5 = 0")
    with pytest.raises(DataError, match=r"200 of 1000 customers .* allowed are 5\.0%"):
        whole_night(night)
    assert len(table_of(night)) == PEOPLE


def test_a_range_of_nothing_but_faults_is_no_failure(night: Night) -> None:
    portions = plan(night)
    end = portions[0].upto
    sql(night.engine, f"UPDATE churners SET Credit_Limit = -1 WHERE CLIENTNUM <= {end}")
    found = score_range.score_range(night, portions[0])
    assert (found.rows, found.unscorable_rows) == (0, 250)


def test_who_comes_during_the_run_is_scored_too(night: Night, people: pd.DataFrame) -> None:
    sql(night.engine, "DELETE FROM churners WHERE CLIENTNUM % 100 = 0")
    portions = plan(night)
    done = scored(night, portions)
    loading.load_customers(night.engine, people.head(PEOPLE), now=datetime.now(UTC))
    summary = summarise_scores.summarise_scores(night, portions, done)
    assert (summary.scored, summary.late) == (PEOPLE, 10)
    again = summarise_scores.summarise_scores(night, portions, done)  # a task that is tried again
    assert (again.scored, again.late) == (PEOPLE, 10)
    assert parts_of(night)["customer"].tolist() == table_of(night)["customer"].tolist()


def test_the_champion_stays_the_one_of_the_plan(
    night: Night, fitted: fit.Fitted, contract: Contract, params: Params
) -> None:
    portions = plan(night)
    put_champion(night.store, fitted, contract, params, version="2")
    summary = summarise_scores.summarise_scores(night, portions, scored(night, portions))
    assert summary.model_version == "1" and set(table_of(night)["model_version"]) == {"1"}


def test_an_older_night_does_not_write_over_a_newer_one(night: Night) -> None:
    old = plan(night)
    whole_night(night, day=DAY + timedelta(1))
    with pytest.raises(DataError, match="start a new run instead of clearing"):
        scored(night, old)


def test_without_a_champion_there_is_nothing_to_plan(
    local_store: LocalStore, bank: Engine, params: Params
) -> None:
    assert plan(night_of(local_store, bank, params)) == []


def test_an_empty_table_fails_and_says_so(night: Night) -> None:
    sql(night.engine, "DELETE FROM churners")
    with pytest.raises(DataError, match="churners is empty"):
        plan(night)


def test_a_changed_version_is_not_scored_with(night: Night) -> None:
    portions = plan(night)
    key = versions.version_key("1", versions.MANIFEST_FILE)
    night.store.write(key, night.store.read(key).data + b" ")
    with pytest.raises(ChampionError, match="start the run again"):
        score_range.score_range(night, portions[0])


def test_a_missing_column_is_named(night: Night) -> None:
    portions = plan(night)
    sql(night.engine, "ALTER TABLE churners DROP COLUMN Total_Trans_Ct")
    with pytest.raises(DataError, match="lacks Total_Trans_Ct"):
        score_range.score_range(night, portions[0])


@pytest.mark.parametrize("harm", ["lost", "doubled", "foreign"])
def test_the_proof_notices_a_part_that_is_not_right(sqlite_night: Night, harm: str) -> None:
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
    with pytest.raises(DataError, match="part-0001.parquet should hold .* clear this range"):
        summarise_scores.summarise_scores(sqlite_night, portions, done)


def test_the_proof_notices_a_range_that_was_not_scored(sqlite_night: Night) -> None:
    portions = plan(sqlite_night)
    done = scored(sqlite_night, portions)
    with pytest.raises(DataError, match="planned were the ranges"):
        summarise_scores.summarise_scores(sqlite_night, portions, done[:-1])


def test_the_proof_notices_rows_that_the_table_has_lost(sqlite_night: Night) -> None:
    portions = plan(sqlite_night)
    done = scored(sqlite_night, portions)
    sql(sqlite_night.engine, "UPDATE churn_scores SET model_version = '9' WHERE customer % 7 = 0")
    with pytest.raises(DataError, match="churn_scores should hold 3000 rows"):
        summarise_scores.summarise_scores(sqlite_night, portions, done)


def test_ranges_side_by_side_wait_for_sqlite_and_all_succeed(sqlite_night: Night) -> None:
    portions = plan(sqlite_night)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda p: score_range.score_range(sqlite_night, p), portions))
    summary = summarise_scores.summarise_scores(sqlite_night, portions, done)
    assert summary.scored == 3000 and len(done) == 10


def test_a_killed_range_is_tried_again_and_everybody_is_there_once(night: Night) -> None:
    portions = plan(night)
    url = night.engine.url.render_as_string(hide_password=False)
    spawn = multiprocessing.get_context("spawn")
    arguments = (url, night.store, night.rules, portions[1])
    process = spawn.Process(target=_score_slowly, args=arguments)
    process.start()
    while not 0 < _scores(night) < 250:
        assert process.is_alive(), "the range ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert 0 < _scores(night) < 250 and not list(night.store.list(portions[1].part))
    summary = summarise_scores.summarise_scores(night, portions, scored(night, portions))
    assert summary.scored == len(table_of(night)) == PEOPLE


@pytest.mark.parametrize(
    ("ranges", "rows", "expected"),
    [(1, 1000, [1000]), (4, 250, [250] * 4), (3, 334, [334, 334, 332]), (9, 999, [999, 1])],
)
def test_ranges_hold_equal_numbers_and_every_possible_key(
    bank: Engine, contract: Contract, ranges: int, rows: int, expected: list[int]
) -> None:
    cuts = customer_ranges.cut(bank, contract, ranges=ranges, rows=rows)
    sizes = [
        sum(len(page) for page in customer_ranges.pages(bank, contract, ["Gender"], keys, rows=300))
        for keys in cuts
    ]
    assert sizes == expected
    assert cuts[0].after is None and cuts[-1].upto is None
    assert [keys.upto for keys in cuts[:-1]] == [keys.after for keys in cuts[1:]]


def test_pages_hold_no_more_than_they_may(bank: Engine, contract: Contract) -> None:
    pages = customer_ranges.pages(bank, contract, ["Gender"], KeyRange(None, None), rows=300)
    assert [len(page) for page in pages] == [300, 300, 300, 100]


def test_a_page_that_the_server_cuts_is_read_row_by_row(
    bank: Engine, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, everybody = contract.feature_names, KeyRange(None, None)
    whole = list(customer_ranges.pages(bank, contract, names, everybody, rows=400))
    monkeypatch.setattr(customer_rows, "PAGE_BYTES_MAX", 10_000)
    cut = list(customer_ranges.pages(bank, contract, names, everybody, rows=400))
    expected = queries.read_customers(bank, contract, labelled_only=False)
    for found in (whole, cut):
        frame = pd.concat(found, ignore_index=True)
        pd.testing.assert_frame_equal(frame, expected[list(frame)])


def _scores(night: Night) -> int:
    with night.engine.connect() as connection:
        return int(connection.scalar(text("SELECT COUNT(*) FROM churn_scores")) or 0)


def _score_slowly(url: str, store: object, rules: object, portion: score_range.Portion) -> None:
    """Score a range with a pause after each chunk, so that it can be killed half-way."""
    quick = score_table.upsert_scores

    def slow(engine: Engine, scores: object) -> None:
        quick(engine, scores)  # type: ignore[arg-type]
        time.sleep(1)

    score_table.upsert_scores = slow
    engine = open_engine(url)
    night = Night("killed", store, engine, rules, rejected_share_max=0.05)  # type: ignore[arg-type]
    score_range.score_range(night, portion)
