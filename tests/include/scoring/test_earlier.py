"""Whose risk rose: each score beside those of nights before, by the same version only."""

import logging
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.customers.ranges import KeyRange
from include.scoring import comparisons
from include.scoring.earlier import EarlierNight, EarlierScores
from include.scoring.run import ScoringRun, day_prefix
from include.scoring.summary import SUMMARY_FILE, read_summary
from tests.include.bank_days import promote
from tests.include.nights import (
    DAY,
    PEOPLE,
    Version,
    night_of,
    parts_of,
    sql,
    table_of,
    whole_night,
)

LAST_NIGHT, LAST_WEEK = DAY - timedelta(days=1), DAY - timedelta(days=8)


def rises(night: ScoringRun) -> pd.DataFrame:
    """What the list says of everybody's change, by customer."""
    return table_of(night).set_index("customer")[["rise_night", "rise_week"]].astype(float)


def compared(night: ScoringRun) -> list[EarlierNight]:
    """With what the list says that it compares."""
    moment = table_of(night)["scored_at"].iloc[0]
    with night.engine.connect() as connection:
        found = comparisons.of_scores(connection, pd.Timestamp(moment).to_pydatetime())
    return sorted(found, key=lambda each: each.span)


def probabilities(night: ScoringRun) -> "pd.Series[float]":
    """What the list says now, by customer."""
    return table_of(night).set_index("customer")["probability"]


def busier(night: ScoringRun, every: int) -> None:
    """Each so-many-th customer uses the card less."""
    changed = "UPDATE churners SET Total_Trans_Ct = 10, Total_Trans_Amt = 600 WHERE CLIENTNUM"
    sql(night.engine, f"{changed} % {every} = 0")


def test_a_rise_is_the_difference_to_the_night_and_to_the_week_before(night: ScoringRun) -> None:
    sql(night.engine, "DELETE FROM churners WHERE CLIENTNUM % 10 = 1")
    others = night_of(night.store, night.engine, range_rows=170, chunk_rows=90)  # cut otherwise
    whole_night(others, day=LAST_WEEK)
    week = probabilities(night)
    busier(night, 3)
    whole_night(others, day=LAST_NIGHT)
    last = probabilities(night)
    sql(night.engine, "DELETE FROM churners WHERE CLIENTNUM % 10 = 2")
    busier(night, 7)
    whole_night(night)
    tonight, found = probabilities(night), rises(night)
    for name, before in (("rise_night", last), ("rise_week", week)):
        expected = tonight - before.reindex(tonight.index)
        assert (found[name] - expected).abs().max() < 0.000051
        assert found[name].notna().all() and (found[name] > 0.1).any()
    assert (found["rise_night"] == 0).sum() > (found["rise_week"] == 0).sum() > 0
    assert compared(night) == [
        EarlierNight("night", LAST_NIGHT, "1"),
        EarlierNight("week", LAST_WEEK, "1"),
    ]


def test_who_was_not_there_has_no_rise(sqlite_night: ScoringRun) -> None:
    sql(sqlite_night.engine, "CREATE TABLE kept AS SELECT * FROM churners")
    sql(sqlite_night.engine, "DELETE FROM churners WHERE CLIENTNUM % 10 = 1")
    whole_night(sqlite_night, day=LAST_NIGHT)
    sql(sqlite_night.engine, "INSERT INTO churners SELECT * FROM kept WHERE CLIENTNUM % 10 = 1")
    whole_night(sqlite_night)
    found = rises(sqlite_night)
    new = found.index % 10 == 1
    assert found["rise_night"].isna().tolist() == new.tolist() and 0 < new.sum() < PEOPLE
    assert found["rise_week"].isna().all()
    assert [each.span for each in compared(sqlite_night)] == ["night"]


def test_another_versions_scores_are_named_and_not_compared(
    sqlite_night: ScoringRun, champion: Version
) -> None:
    whole_night(sqlite_night, day=LAST_NIGHT)
    manifest, files = champion
    promote(sqlite_night.store, manifest.model_copy(update={"version": "2"}), files)
    whole_night(sqlite_night)
    assert rises(sqlite_night).isna().all(axis=None)
    assert compared(sqlite_night) == [EarlierNight("night", LAST_NIGHT, "1")]
    whole_night(sqlite_night, day=DAY + timedelta(days=1))
    assert (rises(sqlite_night)["rise_night"] == 0).all()
    assert compared(sqlite_night) == [EarlierNight("night", DAY, "2")]


def test_the_second_run_of_a_day_is_compared_with_the_day_before(sqlite_night: ScoringRun) -> None:
    whole_night(sqlite_night, day=LAST_NIGHT)
    before = probabilities(sqlite_night)
    busier(sqlite_night, 2)
    first, again = whole_night(sqlite_night), whole_night(sqlite_night)
    assert first.change is not None and again.change is not None
    assert again.change.date == LAST_NIGHT
    expected = probabilities(sqlite_night) - before
    assert (rises(sqlite_night)["rise_night"] - expected).abs().max() < 0.000051


@pytest.mark.parametrize(
    ("gone", "told"),
    [("part-0001.parquet", "nothing is compared"), (SUMMARY_FILE, "")],
)
def test_a_night_that_is_gone_spoils_none(
    sqlite_night: ScoringRun, caplog: pytest.LogCaptureFixture, gone: str, told: str
) -> None:
    whole_night(sqlite_night, day=LAST_NIGHT)
    sqlite_night.store.delete(day_prefix(LAST_NIGHT) + gone)
    with caplog.at_level(logging.WARNING):
        assert whole_night(sqlite_night).scored == PEOPLE
    assert rises(sqlite_night)["rise_night"].isna().any() and told in caplog.text


def test_a_night_of_an_earlier_release_is_compared_too(sqlite_night: ScoringRun) -> None:
    whole_night(sqlite_night, day=LAST_NIGHT)
    summary = read_summary(sqlite_night.store, LAST_NIGHT)
    assert summary is not None and len(summary.ranges) == len(summary.parts) == 4
    older = summary.model_copy(update={"ranges": ()})
    sqlite_night.store.write(day_prefix(LAST_NIGHT) + SUMMARY_FILE, older.to_bytes())
    whole_night(sqlite_night)
    assert (rises(sqlite_night)["rise_night"] == 0).all()


def test_the_parts_keep_their_columns(sqlite_night: ScoringRun) -> None:
    whole_night(sqlite_night)
    assert [*parts_of(sqlite_night).columns] == [
        *("customer", "probability", "band", "reasons", "model_version", "scored_at"),
    ]


def test_a_run_that_ends_before_its_swap_leaves_the_comparisons_of_the_night_before(
    sqlite_night: ScoringRun,
) -> None:
    whole_night(sqlite_night, day=LAST_NIGHT)
    whole_night(sqlite_night)
    mine = compared(sqlite_night)
    planned = EarlierNight("night", date(2026, 1, 1), "1")
    comparisons.write(sqlite_night.engine, sqlite_night.now, [planned])
    assert compared(sqlite_night) == mine == [EarlierNight("night", LAST_NIGHT, "1")]


@pytest.mark.parametrize(
    ("customers", "expected"),
    [([2, 5], [0.2, 0.5]), ([1, 3, 9], [None, None, None]), ([], []), ([5, 6], [0.5, None])],
)
def test_a_score_is_found_by_its_customer(customers: Iterable[int], expected: list[Any]) -> None:
    scores = EarlierScores(np.array([2, 5]), np.array([0.2, 0.5]))
    found = scores.of(np.array(customers, dtype=np.int64))
    assert [None if np.isnan(each) else each for each in found] == expected


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (KeyRange(None, 5), KeyRange(5, None), False),
        (KeyRange(None, 6), KeyRange(5, None), True),
        (KeyRange(None, None), KeyRange(5, 6), True),
        (KeyRange(1, 3), KeyRange(3, 9), False),
        (KeyRange(1, 4), KeyRange(2, 3), True),
    ],
)
def test_ranges_overlap_where_a_key_could_lie_in_both(
    one: KeyRange, other: KeyRange, both: bool
) -> None:
    assert one.overlaps(other) is other.overlaps(one) is both
