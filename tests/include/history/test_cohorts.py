"""History out of the database: whole months, the right exits, and no row from after its day."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from include.contract import Contract
from include.customers.database import opened
from include.customers.sample import sample_customers
from include.errors import DataError
from include.features import SplitRule
from include.history import clock, cohorts
from include.history.clock import LEFT_AFTER, OLDER, Months
from include.history.tables import AS_OF, LOADED_AT, SNAPSHOTS, exits_table
from include.params import HistoryRules
from include.target import Target
from tests.include.conftest import sql
from tests.include.history.tiny import Tiny, empty, fill, tiny_history

NOW = datetime.now(UTC)
TARGET = Target(kind="horizon", gap_days=14, horizon_days=90)
SPLIT = SplitRule(salt="churn", calibration_share=0.1, holdout_share=0.3)


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    """The same history for every test."""
    return tiny_history(customers=300)


def read(
    engine: Engine, contract: Contract, *, rows: int = 97, now: datetime = NOW
) -> tuple[Months, pd.DataFrame]:
    """All rows of some use, with their day, side and verdict."""
    exits = cohorts.read_exits(engine, contract, now=now)
    months = clock.months_of(exits.days, TARGET, cutoff=exits.cutoff, delay_days=exits.delay_days)
    assert months is not None
    found = [
        page.customers.assign(day=page.as_of, side=page.sides, verdict=page.verdicts)
        for page in cohorts.pages(
            engine, contract, months, exits, split=SPLIT, rules=HistoryRules(), rows=rows
        )
    ]
    return months, pd.concat(found, ignore_index=True)


def test_each_row_is_read_once_with_what_became_of_the_customer(
    history: Engine, contract: Contract, tiny: Tiny
) -> None:
    months, found = read(history, contract)
    last = tiny.exits["known_at"].max().date()
    assert (months.cutoff, months.delay_days) == (last, 3)
    given = tiny.snapshots.merge(tiny.exits, how="left", on="CLIENTNUM")
    ahead = pd.to_datetime(given["left_on"]) - pd.to_datetime(given[AS_OF])
    given[LEFT_AFTER] = ahead.dt.days.astype("Int64")
    shares = SPLIT.sides(given["CLIENTNUM"].tolist())
    teaches = given[AS_OF].isin(months.training).to_numpy()
    judges = given[AS_OF].isin(months.closed).to_numpy()
    used = given[np.where(shares == "holdout", judges, teaches)]
    names = [*contract.feature_names, LEFT_AFTER]
    wanted = used.set_index([AS_OF, "CLIENTNUM"])[names].sort_index()
    got = found.set_index(["day", "CLIENTNUM"])[names].sort_index()
    pd.testing.assert_frame_equal(got, wanted, check_dtype=False, check_names=False)
    left = (wanted[LEFT_AFTER] > 14) & (wanted[LEFT_AFTER] <= 104)
    labels = found.set_index(["day", "CLIENTNUM"])["Attrition_Flag"].sort_index()
    assert ((labels == "Attrited Customer").to_numpy() == left.fillna(False).to_numpy()).all()


def test_the_newest_month_comes_first_and_judges(local_history: Engine, contract: Contract) -> None:
    months, found = read(local_history, contract)
    assert list(found["day"].unique()) == sorted(months.closed, reverse=True)
    assert set(found.loc[found["day"] == months.holdout, "side"]) == {"holdout"}
    assert set(found.loc[found["side"] == OLDER, "day"]) == set(months.older)


@settings(max_examples=5, phases=[Phase.explicit, Phase.generate])  # to shrink takes minutes here
@given(st.lists(st.integers(0, 420), min_size=1, max_size=9, unique=True), st.integers(0, 2**16))
def test_no_feature_is_of_a_later_day_than_its_row(
    local_history: Engine, contract: Contract, days: list[int], seed: int
) -> None:
    """A feature says which day it is of, and what a row is called depends on its own dates."""
    random, begin = np.random.default_rng(seed), NOW.date() - timedelta(days=430)
    people = sample_customers(40, seed=1).drop(columns="Attrition_Flag")
    left_on = pd.Timestamp(begin) + pd.to_timedelta(random.integers(0, 430, 40), "D")
    parts = [
        people.assign(**{AS_OF: begin + timedelta(days=day), "Credit_Limit": float(day)})
        for day in days
    ]
    snapshots = pd.concat(parts).assign(**{LOADED_AT: NOW.replace(tzinfo=None)})
    exits = people[["CLIENTNUM"]].assign(left_on=left_on.date, known_at=left_on, voluntary=None)
    empty(local_history)
    fill(local_history, Tiny(snapshots, exits, ()))
    loaded_any_time = HistoryRules(loaded_days_max=1000)
    found = cohorts.read_exits(local_history, contract, now=NOW)
    months = clock.months_of(found.days, TARGET, cutoff=found.cutoff, delay_days=0)
    if months is None:
        return
    for page in cohorts.pages(
        local_history, contract, months, found, split=SPLIT, rules=loaded_any_time, rows=17
    ):
        assert (page.customers["Credit_Limit"] == (page.as_of - begin).days).all()
        assert TARGET.window_ends(page.as_of) <= min(NOW.date(), found.cutoff)
        positive = page.customers[page.verdicts == clock.LEAVES]
        truth = exits.set_index("CLIENTNUM").loc[positive["CLIENTNUM"], "left_on"]
        ahead = np.array([(day - page.as_of).days for day in truth])
        assert ((ahead > 14) & (ahead <= 104)).all()
        assert (positive[LEFT_AFTER].to_numpy() == ahead).all()


def test_an_exit_that_nobody_knows_yet_has_not_happened(
    history: Engine, contract: Contract, tiny: Tiny
) -> None:
    then = datetime.combine(tiny.days[-3], datetime.min.time(), UTC)
    exits = cohorts.read_exits(history, contract, now=then)
    known = pd.to_datetime(tiny.exits["known_at"]) <= pd.Timestamp(then).tz_localize(None)
    assert sorted(exits.by_key.index) == sorted(tiny.exits["CLIENTNUM"][known])
    last = tiny.exits["known_at"][known].max().date()
    assert (exits.days, exits.cutoff) == (tiny.days[:-2], last)


def test_faults_of_history_are_told_apart(local_history: Engine, contract: Contract) -> None:
    gone = "(SELECT CLIENTNUM FROM churner_exits ORDER BY CLIENTNUM LIMIT 30)"
    begin = "(SELECT MIN(as_of) FROM churner_snapshots)"
    for change in (
        f"churner_exits SET voluntary = 0 WHERE CLIENTNUM IN {gone}",
        f"churner_exits SET left_on = {begin}, known_at = {begin} WHERE CLIENTNUM % 5 = 0",
        "churner_snapshots SET loaded_at = '2031-01-01' WHERE CLIENTNUM % 7 = 0",
    ):
        sql(local_history, f"UPDATE {change}")
    _, found = read(local_history, contract)
    verdicts = set(found["verdict"])
    assert {clock.INVOLUNTARY, clock.LOADED_LATE, clock.AFTER_EXIT, clock.TOO_LATE} < verdicts
    assert (found.loc[found["verdict"] == clock.LOADED_LATE, "CLIENTNUM"] % 7 == 0).all()


@pytest.mark.parametrize("column", ["left_on", "known_at"])
def test_an_exit_without_a_date_is_told(
    local_history: Engine, contract: Contract, column: str
) -> None:
    sql(local_history, f"UPDATE churner_exits SET {column} = 'soon' WHERE CLIENTNUM % 9 = 0")
    with pytest.raises(DataError, match=f"rows of the table churner_exits .*{column}: expected"):
        read(local_history, contract)


def test_who_left_twice_is_told(local_history: Engine, contract: Contract) -> None:
    sql(local_history, "ALTER TABLE churner_exits RENAME TO kept")
    sql(
        local_history,
        "CREATE VIEW churner_exits AS SELECT * FROM kept UNION ALL SELECT CLIENTNUM, "
        "'2026-01-01', known_at, voluntary FROM kept WHERE CLIENTNUM % 50 = 0",
    )
    with pytest.raises(DataError, match=r"\d customers left more than once in churner_exits"):
        read(local_history, contract)


def test_leavers_are_those_of_the_window_who_wished_to(history: Engine, contract: Contract) -> None:
    months, found = read(history, contract)
    day = months.holdout
    rows = found[(found["day"] == day) & (found["verdict"] == clock.LEAVES)]
    leavers = cohorts.leavers_of(history, contract, months, day, rules=HistoryRules())
    shares = SPLIT.sides(leavers)
    assert {k for k, s in zip(leavers, shares, strict=True) if s == "holdout"} == set(
        rows["CLIENTNUM"]
    )
    with history.begin() as connection:
        connection.execute(sa.update(exits_table()).values(voluntary=False))
    assert cohorts.leavers_of(history, contract, months, day, rules=HistoryRules()) == []
    _, forced = read(history, contract)  # nor does any figure by the month of leaving count them
    assert forced[LEFT_AFTER].max() <= TARGET.last_day < found[LEFT_AFTER].max()


def test_a_database_without_history_has_none(sqlite_url: str) -> None:
    with opened(sqlite_url) as engine:
        assert not cohorts.is_there(engine)


def test_a_table_that_is_gone_is_named(local_history: Engine, contract: Contract) -> None:
    months, _ = read(local_history, contract)
    exits = cohorts.read_exits(local_history, contract, now=NOW)
    sql(local_history, f"DROP TABLE {SNAPSHOTS}")
    with pytest.raises(DataError, match=f"read the table {SNAPSHOTS}"):
        list(
            cohorts.pages(
                local_history, contract, months, exits, split=SPLIT, rules=HistoryRules(), rows=9
            )
        )
    assert not cohorts.is_there(local_history)
